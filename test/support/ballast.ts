/**
 * Starts the real ballast from YAML, on port 0, and takes it down after the test. In the project `workerd` of
 * `vitest.config.ts` it is the Worker, so that the same files test both.
 */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { type Log, noLog } from '../../src/domain/ports.ts'
import { type Ballast, CATALOG_FOLDER, startBallast } from '../../src/node.ts'
import { type Answer, type ScriptedUpstream, startUpstream } from './upstream.ts'
import { startWorker } from './worker.ts'

export const LISTEN = 'listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\n'

export interface RunningBallast extends Ballast {
  /** The exposition text of `/metrics`. */
  metrics(): Promise<string>
}

/** What the tests run on. */
export const RUNTIME = process.env.BALLAST_RUNTIME === 'workerd' ? 'workerd' : 'node'

/** @param environment for `${NAME}` in the YAML. */
export async function startTestBallast(
  yaml: string,
  environment: Record<string, string> = {},
  log: Log = noLog,
): Promise<RunningBallast> {
  const ballast = await startAnyBallast(yaml, environment, log)
  onTestFinished(() => ballast.close(0))
  return ballast
}

/** As `startTestBallast`; whoever calls it closes it. */
export async function startAnyBallast(
  yaml: string,
  environment: Record<string, string>,
  log: Log = noLog,
): Promise<RunningBallast> {
  const text = /^listen:/m.test(yaml) ? yaml : LISTEN + yaml
  if (RUNTIME === 'workerd') return await startOnWorkerd(text, environment, log)
  const file = join(import.meta.dirname, 'ballast.yaml')
  const ballast = await startBallast(parseConfig(text, file, { environment, catalog: CATALOG_FOLDER }), log)
  return { ...ballast, metrics: async () => await (await fetch(`${ballast.adminUrl}/metrics`)).text() }
}

/** How long counts are on their way to the metrics object at most, in an isolate that is not busy. */
const COUNTED_MS = 150

/** Exposures are gathered for a second. */
const STORED_MS = 1_200
/** Until a message has woken the judge and all is judged. */
const JUDGED_MS = 90_000
/** It grows with the time alone. */
const ageless = (text: string) => text.replace(/^ballast_judge_oldest_sample_age_seconds .*$/m, '')

async function startOnWorkerd(
  yaml: string,
  environment: Record<string, string>,
  log: Log,
): Promise<RunningBallast> {
  const worker = await startWorker({ yaml, environment, log })
  const adminUrl = worker.url.slice(0, -1)
  const expose = async () => await (await fetch(`${adminUrl}/metrics`)).text()
  const metrics = async () => {
    for (let before = await expose(); ; ) {
      await new Promise((resolve) => setTimeout(resolve, COUNTED_MS))
      const now = await expose()
      if (ageless(now) === ageless(before)) return now
      before = now
    }
  }
  const settle = async () => {
    await new Promise((resolve) => setTimeout(resolve, STORED_MS))
    await eventually(async () => metricValue(await metrics(), 'ballast_judge_queue_depth') === 0, JUDGED_MS)
    await metrics()
  }
  const offered = {
    url: `${adminUrl}/v1`,
    adminUrl,
    metrics,
    settle,
    reports: async () => await (await fetch(`${adminUrl}/api/experiments`)).json(),
    close: () => worker.dispose(),
  }
  // What only Node has is missed by name.
  return new Proxy(offered as unknown as RunningBallast, {
    get(target, name) {
      if (name in target || name === 'then' || typeof name === 'symbol') return Reflect.get(target, name)
      throw new Error(
        `a Worker has no ${String(name)}: the test belongs into test/support/workerd-exceptions.ts`,
      )
    },
  })
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
  withinMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('what was waited for did not come')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
