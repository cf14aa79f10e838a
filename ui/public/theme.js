// Runs before the first paint, so that a dark page never flashes white. The switch itself is src/shared/theme.ts.
try {
  const choice = localStorage.getItem('argus.theme')
  if (choice === 'light' || choice === 'dark') document.documentElement.dataset.theme = choice
} catch {
  // storage is blocked: the system's theme holds
}
