/** What a running ballast cannot change: sockets and the store are open, and the server was made with these limits. Called by `load.ts`. */
import { isDeepStrictEqual } from 'node:util'
import type { ConfigValues } from './schema.ts'
import type { Path, YamlSource } from './source.ts'

/** Those that a running process uses; it minds no others. */
export type FixedValues = Partial<Fixed>

type Fixed = Pick<ConfigValues, 'listen' | 'admin' | 'store' | 'limits'>

const FIXED: readonly (readonly [[keyof Fixed, ...Path], (values: Fixed) => unknown])[] = [
  [['listen'], ({ listen }) => listen],
  [['admin', 'listen'], ({ admin }) => admin.listen],
  [['store'], ({ store }) => store],
  [['limits', 'headers'], ({ limits }) => limits.headers],
  [['limits', 'receive'], ({ limits }) => limits.receive],
]

/** Notes a problem at each value that differs from the running one and takes a restart. */
export function checkRestart(source: YamlSource, values: Fixed, running: FixedValues): void {
  for (const [path, read] of FIXED) {
    if (running[path[0]] === undefined || isDeepStrictEqual(read(values), read(running as Fixed))) continue
    source.report(path, 'takes a restart: it cannot change while ballast runs, so nothing was changed')
  }
}
