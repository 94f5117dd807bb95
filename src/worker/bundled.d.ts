/** Written by `write-bundled.ts` before a Worker is bundled. */
declare module 'ballast:bundled' {
  import type { Bundled } from './bundled-files.ts'

  const bundled: Bundled
  export default bundled
}
