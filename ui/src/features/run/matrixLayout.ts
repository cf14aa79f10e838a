import type { JobSummary } from '@/api/types'

import type { JobMatrix } from './jobMatrix'

/** One line of tiles: of a model (several lines where a cell holds many jobs), the heading of the rest, or of the rest. */
export type MatrixLine =
  | { kind: 'model'; model: string; piece: number }
  | { kind: 'heading' }
  | { kind: 'rest'; piece: number }

export interface MatrixLayout {
  datasets: readonly string[]
  /** Tiles side by side in one cell, and in one line of the rest. */
  perCell: number
  perLine: number
  lines: readonly MatrixLine[]
  /** The jobs of a line, column by column; a line of the rest has one column. */
  cells: (line: MatrixLine) => readonly (readonly JobSummary[])[]
  cell: (line: MatrixLine, column: number) => readonly JobSummary[]
}

/**
 * Lines of equal height, so that only those on screen need to exist. `matrix` null: all of `jobs` are the rest.
 * `columnTiles`: how many tiles one column has room for if all columns shall be seen at once; `lineTiles`: a whole line.
 */
export function matrixLayout(jobs: readonly JobSummary[], matrix: JobMatrix | null, columnTiles: number, lineTiles: number): MatrixLayout {
  const rest = matrix ? matrix.rest : jobs
  const datasets = matrix?.datasets ?? []
  const models = (matrix?.models ?? []).map((model) => ({ model, most: datasets.reduce((most, dataset) => Math.max(most, matrix?.cell(model, dataset).length ?? 0), 0) }))
  const fullest = models.reduce((most, one) => Math.max(most, one.most), 1)
  const perCell = Math.max(1, Math.min(columnTiles, fullest))
  const perLine = Math.max(1, lineTiles)
  const lines: MatrixLine[] = models.flatMap(({ model, most }) =>
    Array.from({ length: Math.max(1, Math.ceil(most / perCell)) }, (_, piece): MatrixLine => ({ kind: 'model', model, piece })))
  if (matrix && rest.length > 0) lines.push({ kind: 'heading' })
  for (let piece = 0; piece * perLine < rest.length; piece += 1) lines.push({ kind: 'rest', piece })

  const cell = (line: MatrixLine, column: number): readonly JobSummary[] => {
    if (line.kind === 'heading') return []
    if (line.kind === 'rest') return column === 0 ? rest.slice(line.piece * perLine, (line.piece + 1) * perLine) : []
    return matrix?.cell(line.model, datasets[column] ?? '').slice(line.piece * perCell, (line.piece + 1) * perCell) ?? []
  }
  const cells = (line: MatrixLine): readonly (readonly JobSummary[])[] =>
    line.kind === 'model' ? datasets.map((_, column) => cell(line, column)) : [cell(line, 0)]
  return { datasets, perCell, perLine, lines, cells, cell }
}

export interface MatrixPlace { line: number; column: number; slot: number }

/** The next tile in a direction, over empty cells; where there is none, the same place. Null: the first of all. */
export function nextPlace(layout: MatrixLayout, at: MatrixPlace | null, across: -1 | 0 | 1, down: -1 | 0 | 1): MatrixPlace | null {
  if (at === null) return firstPlace(layout)
  if (across !== 0) {
    const flat = placesOf(layout, at.line)
    const here = flat.findIndex((one) => one.column === at.column && one.slot === at.slot)
    return flat[here + across] ?? at
  }
  for (let line = at.line + down; line >= 0 && line < layout.lines.length; line += down) {
    const places = placesOf(layout, line)
    const best = places.reduce<MatrixPlace | null>((near, one) => (near === null || distance(one, at) < distance(near, at) ? one : near), null)
    if (best) return best
  }
  return at
}

const distance = (one: MatrixPlace, at: MatrixPlace): number => Math.abs(one.column - at.column) * 1000 + Math.abs(one.slot - at.slot)

function firstPlace(layout: MatrixLayout): MatrixPlace | null {
  for (let line = 0; line < layout.lines.length; line += 1) {
    const [first] = placesOf(layout, line)
    if (first) return first
  }
  return null
}

function placesOf(layout: MatrixLayout, line: number): MatrixPlace[] {
  const found = layout.lines[line]
  return found ? layout.cells(found).flatMap((jobs, column) => jobs.map((_, slot) => ({ line, column, slot }))) : []
}
