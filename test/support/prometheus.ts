/**
 * A real Prometheus with the configuration and rules of `deploy/prometheus`, in a hurry: it scrapes and evaluates every
 * second, and what takes minutes in the rules takes seconds.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { eventually } from './ballast.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy/prometheus')
/** What windows of minutes and hours become: enough for a rate at a scrape a second. */
const WINDOW = '8s'

export interface PrometheusOptions {
  /** Control planes by job; `http://` or not. */
  readonly targets: Readonly<Record<string, string>>
  /** Of `rules/thresholds.yaml`, by the name of the record. */
  readonly thresholds?: Readonly<Record<string, number>>
  /** What is changed in `prometheus.yml` besides. */
  readonly edit?: (yaml: string) => string
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly state: 'pending' | 'firing'
  readonly value: string
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

export interface RunningPrometheus {
  readonly url: string
  query(expr: string): Promise<Series[]>
  /** Names and labels of what fires now. */
  firing(): Promise<Alert[]>
  /** What it said on stderr so far. */
  log(): string
}

/** Started in a folder of its own, on port 0; ended after the test. */
export async function startPrometheus(options: PrometheusOptions): Promise<RunningPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-prometheus-'))
  render(folder, options)
  const child = spawn('prometheus', [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--web.listen-address=127.0.0.1:0',
    '--log.level=info',
  ])
  onTestFinished(() => void child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const address = await new Promise<string>((resolve, reject) => {
    child.stderr.on('data', () => {
      const match = /msg="Listening on" (?:component=web )?address=(\S+)/.exec(stderr)
      if (match !== null) resolve(match[1]!)
    })
    child.on('close', (code) => reject(new Error(`prometheus ended with ${code}:\n${stderr}`)))
  })
  const url = `http://${address}`
  await eventually(async () => (await fetch(`${url}/-/ready`)).ok)
  const ask = async (path: string) => {
    const answer = (await (await fetch(url + path)).json()) as { status: string; error?: string; data: never }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  return {
    url,
    async query(expr) {
      const { result } = (await ask(`/api/v1/query?query=${encodeURIComponent(expr)}`)) as {
        result: Series[]
      }
      return result
    },
    async firing() {
      const { alerts } = (await ask('/api/v1/alerts')) as { alerts: Alert[] }
      return alerts.filter(({ state }) => state === 'firing')
    },
    log: () => stderr,
  }
}

function render(
  folder: string,
  { targets, thresholds = {}, edit = (yaml) => yaml }: PrometheusOptions,
): void {
  const hurried = readFileSync(join(DEPLOY, 'prometheus.yml'), 'utf8').replace(
    /(scrape_interval|scrape_timeout|evaluation_interval): \d+s/g,
    '$1: 1s',
  )
  writeFileSync(join(folder, 'prometheus.yml'), edit(hurried))
  mkdirSync(join(folder, 'rules'))
  for (const name of readdirSync(join(DEPLOY, 'rules')))
    writeFileSync(
      join(folder, 'rules', name),
      shortened(readFileSync(join(DEPLOY, 'rules', name), 'utf8'), thresholds),
    )
  mkdirSync(join(folder, 'targets'))
  const groups = Object.entries(targets).map(([job, url]) => ({
    targets: [url.replace('http://', '')],
    labels: { job },
  }))
  writeFileSync(join(folder, 'targets/ballast.yaml'), stringify(groups))
}

function shortened(rules: string, thresholds: Readonly<Record<string, number>>): string {
  let text = rules
    .replace(/for: \d+[mh]/g, 'for: 1s')
    .replace(/\[\d+[mhd]\]/g, `[${WINDOW}]`)
    .replace(/offset \d+[mhd]/g, `offset ${WINDOW}`)
  for (const [record, value] of Object.entries(thresholds))
    text = text.replace(new RegExp(`(record: ${record}\\n\\s+expr: )vector\\(.*\\)`), `$1vector(${value})`)
  return text
}
