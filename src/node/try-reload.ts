/** One reload: the configuration is read, applied whole or not at all, and told of. Used by `node.ts` and `judge-process.ts`. */
import { type Config, ConfigError } from '../config/load.ts'
import { formatProblem } from '../config/problem.ts'
import type { Log } from '../domain/ports.ts'
import { warnings } from '../policy/warnings.ts'
import { changesBetween } from './changes.ts'
import type { Reload } from './reloads.ts'

/** Reads a configuration and applies it; says in the log what came of it. */
export async function tryReload(
  running: Config,
  read: (running: Config) => Config,
  apply: (next: Config) => Promise<void>,
  log: Log,
): Promise<Reload> {
  try {
    const next = read(running)
    const { hash, folders } = next
    if (hash === running.hash) {
      log.info({ config: hash }, 'the configuration was read again: it is the running one')
      return { outcome: 'unchanged', folders }
    }
    await apply(next)
    const changes = changesBetween(running, next)
    log.info({ config: hash, changes }, 'the configuration was reloaded')
    logWarnings(next, log)
    return { outcome: 'applied', folders, changes }
  } catch (error) {
    const refused = error instanceof ConfigError
    const why = refused ? { problems: error.problems.map(formatProblem) } : { err: error }
    log.error({ ...why, config: running.hash }, 'the configuration was not reloaded: the running one stays')
    const problems = refused
      ? error.problems.map(formatProblem)
      : ['it could not be applied; the log says why']
    return { outcome: 'failed', folders: refused ? error.folders : [], problems }
  }
}

export function logWarnings(config: Config, log: Log): void {
  for (const warning of warnings(config)) log.warn({}, formatProblem(warning))
}
