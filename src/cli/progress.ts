/** Progress on standard error, for commands that take longer than a second. */
import { createLogUpdate } from 'log-update'

/** A terminal's line is drawn anew so often, once a second has passed. */
const REDRAW_MS = 200
const FIRST_MS = 1_000
/** Where it goes to a file or a pipe. */
const LINE_EVERY_MS = 5_000

export interface Progress {
  /** Takes the line away, or ends it. */
  stop(): void
}

/** @param draw the line as it stands now. */
export function showProgress(draw: () => string, stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) {
    const timer = setInterval(() => stream.write(`${draw()}\n`), LINE_EVERY_MS)
    timer.unref()
    return { stop: () => clearInterval(timer) }
  }
  const update = createLogUpdate(stream)
  let timer = setTimeout(() => {
    update(draw())
    timer = setInterval(() => update(draw()), REDRAW_MS)
  }, FIRST_MS)
  return {
    stop() {
      clearInterval(timer)
      update.clear()
      update.done()
    },
  }
}

/** `3 s`, `12 min`, `2 h 5 min`. */
export function durationInWords(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 90) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
