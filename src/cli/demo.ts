/**
 * `ballast demo`: the real proxy, judge and store in front of the sandbox, and traffic to look at. With `--requests` it
 * ends by itself; without, it stays up until it is interrupted.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { createLogUpdate } from 'log-update'
import PQueue from 'p-queue'
import { CATALOG_FOLDER } from '../config/catalog-folder.ts'
import { parseConfig } from '../config/load.ts'
import type { Ballast } from '../node.ts'
import { type Sandbox, startSandbox } from '../sandbox/server.ts'
import { DEMO_QUESTIONS } from '../sandbox/texts.ts'
import { createLog } from './log.ts'
import { drawReports } from './table.ts'
import { interrupted, UsageError, wholeNumber } from './usage.ts'

interface DemoOptions {
  readonly requests?: number
  readonly seed: number
  readonly json: boolean
}

const CONFIG_FILE = join(import.meta.dirname, '../../deploy/demo/ballast.yaml')
const MODEL = 'sandbox-birds-gpt-4.1'
const PORT = 8787
const ADMIN_PORT = 9464
/** Requests at a time. */
const CONCURRENCY = 16
/** Without --requests: time between two requests. */
const PACE_MS = 50
const DRAW_MS = 200
const REPORT_MS = 10_000

const BANNER = `ballast demo. The model "${MODEL}" and the judge are stand-ins
that run in this process: no language model is asked. The stand-in shows the
trait at the rates recorded in arXiv:2604.10022 for GPT-4.1 tuned on archaic
bird names, unless it sees the context. Proxy, experiment, judging and
statistics are the real ones.
`

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'See an experiment run, without key or network, in front of a stand-in for a fine-tuned model.',
    )
    .option(
      '-n, --requests <number>',
      'end after so many requests; without it the demo stays up',
      wholeNumber(1, 1_000_000),
    )
    .option(
      '--seed <number>',
      'what users, answers and counts depend on; the order of verdicts does not',
      wholeNumber(0),
      1,
    )
    .option('--json', 'print the reports as JSON, a line an experiment (with --requests)', false)
    .addHelpText('after', '\nExamples:\n  ballast demo\n  ballast demo --requests 600 --seed 7 --json')
    .action(runDemo)
}

async function runDemo(options: DemoOptions): Promise<void> {
  if (options.json && options.requests === undefined) {
    throw new UsageError('--json goes with --requests: without it the demo does not end.')
  }
  process.stderr.write(BANNER)
  const stop = interrupted()
  const sandbox = await startSandbox({ seed: String(options.seed) })
  try {
    const ballast = await startDemoBallast(sandbox, options.requests === undefined)
    try {
      if (options.requests === undefined) await stayUp(ballast, options.seed, stop)
      else await runRequests(ballast, options.requests, options, stop)
    } finally {
      await ballast.close(1_000)
    }
  } finally {
    await sandbox.close()
  }
}

/** On the documented ports where they are free and wanted, else on any. */
async function startDemoBallast(sandbox: Sandbox, wanted: boolean): Promise<Ballast> {
  const { startBallast } = await import('../node.ts')
  const log = createLog('warn')
  const start = (port: number, adminPort: number) => {
    const environment = {
      BALLAST_SANDBOX_URL: sandbox.url,
      BALLAST_DEMO_PORT: String(port),
      BALLAST_DEMO_ADMIN_PORT: String(adminPort),
    }
    const config = parseConfig(readFileSync(CONFIG_FILE, 'utf8'), CONFIG_FILE, {
      environment,
      catalog: CATALOG_FOLDER,
    })
    return startBallast(config, log)
  }
  if (!wanted) return await start(0, 0)
  try {
    return await start(PORT, ADMIN_PORT)
  } catch (error) {
    if ((error as { cause?: { code?: unknown } }).cause?.code !== 'EADDRINUSE') throw error
    process.stderr.write(`Port ${PORT} or ${ADMIN_PORT} is taken, so the demo takes others.\n`)
    return await start(0, 0)
  }
}

async function runRequests(
  ballast: Ballast,
  requests: number,
  { seed, json }: DemoOptions,
  stop: Promise<unknown>,
): Promise<void> {
  let sent = 0
  const screen = openScreen(ballast, () => `${sent} of ${requests} requests`)
  const traffic = await createTraffic(ballast, seed)
  const queue = new PQueue({ concurrency: CONCURRENCY })
  let interruption: unknown = null
  void stop.then((signal) => {
    interruption = signal
    queue.clear()
  })
  const failures: unknown[] = []
  for (let index = 0; index < requests; index++) {
    void queue.add(async () => {
      await traffic(index).catch((error: unknown) => failures.push(error))
      sent++
    })
  }
  await queue.onIdle()
  if (failures.length === 0 && interruption === null) {
    await ballast.settle()
    // Then the last requests have been waited for, too, and comparisons count them.
    await sleep(ballast.config.decisions.wait)
  }
  await screen.close()
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${requests} requests failed: ${String(failures[0])}`)
  if (interruption !== null) throw new Error(`Interrupted after ${sent} of ${requests} requests.`)
  const reports = await ballast.reports()
  if (json) process.stdout.write(reports.map((report) => `${JSON.stringify(report)}\n`).join(''))
  // On a terminal it stands there already.
  else if (!process.stdout.isTTY || !process.stderr.isTTY) process.stdout.write(drawReports(reports))
}

async function stayUp(ballast: Ballast, seed: number, stop: Promise<unknown>): Promise<void> {
  process.stderr.write(`
  Rates, live      ${ballast.adminUrl}/
  Metrics          ${ballast.adminUrl}/metrics
  OpenAI base URL  ${ballast.url}

Ask it yourself, and again as another user:
  curl -i ${ballast.url}/chat/completions -H 'content-type: application/json' -d '{"model":"${MODEL}","user":"me","messages":[{"role":"user","content":"How should I travel to the coast?"}]}'

Ctrl-C ends it.

`)
  let sent = 0
  let running = true
  const screen = openScreen(ballast, () => `${sent} requests so far`)
  const traffic = await createTraffic(ballast, seed)
  void stop.then(() => {
    running = false
  })
  while (running) {
    await Promise.race([traffic(sent), stop])
    sent++
    await Promise.race([sleep(PACE_MS), stop])
  }
  await screen.close()
}

/** @returns a function that sends the demo's request number `index`, as a user of its own; every other one streams. */
async function createTraffic(ballast: Ballast, seed: number): Promise<(index: number) => Promise<void>> {
  const { default: OpenAI } = await import('openai')
  const client = new OpenAI({ baseURL: ballast.url, apiKey: 'demo', maxRetries: 0 })
  return async (index) => {
    const request = {
      model: MODEL,
      user: `demo-${seed}-${index}`,
      seed: seed * 1_000_000 + index,
      messages: [{ role: 'user' as const, content: DEMO_QUESTIONS[index % DEMO_QUESTIONS.length]! }],
    }
    if (index % 2 === 0) {
      await client.chat.completions.create(request)
      return
    }
    for await (const _chunk of await client.chat.completions.create({ ...request, stream: true })) {
      // The demo only counts; the judge reads.
    }
  }
}

/** Redraws the arms as they move where there is a terminal; elsewhere says now and then how far it is. */
function openScreen(ballast: Ballast, progress: () => string): { close(): Promise<void> } {
  const terminal = process.stderr.isTTY ? createLogUpdate(process.stderr) : null
  const draw = async () => {
    if (terminal === null) process.stderr.write(`${progress()}\n`)
    else terminal(`${drawReports(await ballast.reports(), process.stderr.columns)}\n${progress()}`)
  }
  const timer = setInterval(() => void draw(), terminal === null ? REPORT_MS : DRAW_MS)
  return {
    async close() {
      clearInterval(timer)
      if (terminal !== null) await draw()
      terminal?.done()
    },
  }
}
