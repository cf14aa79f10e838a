import { shallowRef, watch, type ShallowRef } from 'vue'

/** A small choice of the reader (columns, wrap) that stays in this browser. `accept` refuses what does not fit. */
export function useStored<T>(key: string, fallback: T, accept: (value: unknown) => value is T): ShallowRef<T> {
  const value = shallowRef(read(key, fallback, accept))
  watch(value, (next) => {
    try {
      localStorage.setItem(`argus.${key}`, JSON.stringify(next))
    } catch {
      // storage is blocked: the choice lasts until the page is closed
    }
  })
  return value
}

function read<T>(key: string, fallback: T, accept: (value: unknown) => value is T): T {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(`argus.${key}`) ?? 'null')
    return accept(stored) ? stored : fallback
  } catch {
    return fallback
  }
}

export const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean'
export const isTextList = (value: unknown): value is string[] => Array.isArray(value) && value.every((one) => typeof one === 'string')
