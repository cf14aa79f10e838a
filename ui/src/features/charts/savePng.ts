import { saveUrl } from '@/shared/download'

import type { ChartTheme } from './chartTheme'

/** The chart with its title and the names of its curves, as a picture of twice the size on screen. */
export async function savePng(name: string, chartUrl: string, title: string, legend: readonly { key: string; color: string }[], theme: ChartTheme): Promise<void> {
  const image = new Image()
  image.src = chartUrl
  await image.decode()
  const scale = 2
  const canvas = document.createElement('canvas')
  const pen = canvas.getContext('2d')
  if (!pen) return
  const head = 56 * scale
  canvas.width = image.width
  canvas.height = image.height + head
  pen.fillStyle = theme.ground
  pen.fillRect(0, 0, canvas.width, canvas.height)
  pen.textBaseline = 'middle'
  pen.fillStyle = theme.ink
  pen.font = `600 ${13 * scale}px ${theme.font}`
  pen.fillText(title, 14 * scale, 18 * scale, canvas.width - 28 * scale)
  pen.font = `${11 * scale}px ${theme.font}`
  let x = 14 * scale
  for (const { key, color } of legend) {
    pen.fillStyle = color
    pen.fillRect(x, 39 * scale, 12 * scale, 3 * scale)
    pen.fillStyle = theme.ink
    pen.fillText(key, x + 17 * scale, 41 * scale)
    x += pen.measureText(key).width + 36 * scale
  }
  pen.drawImage(image, 0, head)
  saveUrl(name, canvas.toDataURL('image/png'))
}
