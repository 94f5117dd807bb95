/**
 * Preloaded into a process (`node --import`): each of its threads writes what it has loaded into a file of the folder that
 * RECORD_LOADED names, when it ends. Read by `loaded.ts`.
 */
import { writeFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { isMainThread, threadId } from 'node:worker_threads'

const loaded = new Set<string>()
registerHooks({
  load(url, context, next) {
    loaded.add(url)
    return next(url, context)
  },
})
process.on('exit', () => {
  const name = isMainThread ? 'main' : `thread-${threadId}`
  writeFileSync(join(process.env.RECORD_LOADED!, `${name}.json`), JSON.stringify([...loaded]))
})
