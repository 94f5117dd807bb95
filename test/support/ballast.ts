/** Starts the real ballast from YAML, on port 0, and takes it down after the test. */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { type Log, noLog } from '../../src/domain/ports.ts'
import { type Ballast, CATALOG_FOLDER, startBallast } from '../../src/node.ts'
import { type Answer, type ScriptedUpstream, startUpstream } from './upstream.ts'

export const LISTEN = 'listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\n'

export interface RunningBallast extends Ballast {
  /** The exposition text of `/metrics`. */
  metrics(): Promise<string>
}

/** @param environment for `${NAME}` in the YAML. */
export async function startTestBallast(
  yaml: string,
  environment: Record<string, string> = {},
  log: Log = noLog,
): Promise<RunningBallast> {
  const file = join(import.meta.dirname, 'ballast.yaml')
  const text = /^listen:/m.test(yaml) ? yaml : LISTEN + yaml
  const ballast = await startBallast(parseConfig(text, file, { environment, catalog: CATALOG_FOLDER }), log)
  onTestFinished(() => ballast.close(0))
  return { ...ballast, metrics: async () => await (await fetch(`${ballast.adminUrl}/metrics`)).text() }
}

export async function startTestUpstream(answer: Answer): Promise<ScriptedUpstream> {
  const upstream = await startUpstream(answer)
  onTestFinished(() => upstream.close())
  return upstream
}

/** The value of one series, e.g. `ballast_requests_total{route="*",…}`; 0 when it is not there. */
export function metricValue(text: string, name: string, labels: Record<string, string> = {}): number {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
  let sum = 0
  for (const line of text.split('\n')) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (match?.[1] !== name) continue
    const given = match[2] ?? ''
    if (wanted.every((label) => given.includes(label))) sum += Number(match[3])
  }
  return sum
}

/** Waits until `condition` holds. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  withinMs = 5_000,
): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('what was waited for did not come')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
