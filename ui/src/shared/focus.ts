import { nextTick } from 'vue'

/** Focus that stands inside `box` stands on `marked` afterwards, so that Enter opens the row that looks chosen and not the one left behind. */
export async function takeFocusAlong(box: HTMLElement | null, marked: string): Promise<void> {
  const held = document.activeElement
  if (!(held instanceof HTMLElement) || !box?.contains(held)) return
  await nextTick()
  const row = box.querySelector<HTMLElement>(marked)
  // A row far away is drawn only once the list has scrolled: without focus, Enter opens it too.
  if (row) row.focus({ preventScroll: true })
  else held.blur()
}
