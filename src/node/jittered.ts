/** Runs something again and again, at times that differ between processes. Used by what polls the store. */

/** Between half and one and a half times the interval lies between two runs. */
const JITTER = 0.5

/**
 * @param run awaited before the next; must not reject.
 * @returns stops it; resolves when a run that is under way is over.
 */
export function jittered(everyMs: number, run: () => Promise<void>): () => Promise<void> {
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout
  const schedule = () => {
    timer = setTimeout(
      () => {
        running = run().finally(() => {
          if (!stopped) schedule()
        })
      },
      everyMs * (1 + JITTER * (2 * Math.random() - 1)),
    ).unref()
  }
  schedule()
  return async () => {
    stopped = true
    clearTimeout(timer)
    await running
  }
}
