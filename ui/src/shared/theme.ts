import { computed, inject, ref, watch, type App, type InjectionKey, type Ref } from 'vue'

export type ThemeChoice = 'system' | 'light' | 'dark'
export interface Theme {
  choice: Ref<ThemeChoice>
  /** What is on screen now. */
  shown: Readonly<Ref<'light' | 'dark'>>
}

const KEY: InjectionKey<Theme> = Symbol('theme')

/** Follows the system until the reader chooses; the choice stays in this browser. */
export function installTheme(app: App): void {
  const stored = readChoice()
  const choice = ref<ThemeChoice>(stored)
  const media = window.matchMedia('(prefers-color-scheme: dark)')
  const systemDark = ref(media.matches)
  media.addEventListener('change', (event) => (systemDark.value = event.matches))
  watch(choice, (chosen) => {
    if (chosen === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = chosen
    storeChoice(chosen)
  }, { flush: 'sync' })
  const shown = computed(() => (choice.value === 'system' ? (systemDark.value ? 'dark' : 'light') : choice.value))
  app.provide(KEY, { choice, shown })
}

export function useTheme(): Theme {
  const theme = inject(KEY)
  if (!theme) throw new Error('installTheme was not called')
  return theme
}

function readChoice(): ThemeChoice {
  try {
    const stored = localStorage.getItem('argus.theme')
    return stored === 'light' || stored === 'dark' ? stored : 'system'
  } catch {
    return 'system'
  }
}

function storeChoice(choice: ThemeChoice): void {
  try {
    if (choice === 'system') localStorage.removeItem('argus.theme')
    else localStorage.setItem('argus.theme', choice)
  } catch {
    // storage is blocked: the choice lasts until the page is closed
  }
}
