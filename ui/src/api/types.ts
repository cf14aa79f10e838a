/** Names for the shapes of the gateway's OpenAPI document. Nothing is declared here that the server does not declare. */
import type { components } from './schema'

type Schemas = components['schemas']

export type RunSummary = Schemas['RunSummary']
export type RunDetail = Schemas['RunDetail']
export type RunAnswer = Schemas['RunAnswer']
export type RunList = Schemas['RunList']
export type Facets = Schemas['Facets']
export type JobSummary = Schemas['JobSummary']
export type JobDetail = Schemas['JobDetail']
export type JobAnswer = Schemas['JobAnswer']
export type JobMatrix = Schemas['JobMatrix']
export type JobList = Schemas['JobList']
export type MetricSummary = Schemas['MetricSummary']
export type Series = Schemas['Series']
export type SeriesAnswer = Schemas['SeriesAnswer']
export type LogEntry = Schemas['LogEntry']
export type LogLines = Schemas['LogLines']
export type Environment = Schemas['Environment']
export type Measured = JobSummary['loss']
