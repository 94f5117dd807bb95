/** The configurations that ballast is measured with. Used by `targets.ts` and `streams.ts`. */
import { MODEL } from './request.ts'

export interface Settings {
  /** Clients have keys. */
  readonly keys: boolean
  /** Their requests are counted against a minute's limit, one that is never reached. */
  readonly counted: boolean
  /** An experiment with two arms, one of which injects. */
  readonly experiment: boolean
  /** Share of the answers that is judged. */
  readonly sample: number
  /** Where the judge is: a stand-in beside the upstream, or a port that nobody listens on. */
  readonly judge: 'answers' | 'dead'
}

export const PLAIN: Settings = { keys: false, counted: false, experiment: false, sample: 0, judge: 'answers' }
export const PRODUCTION: Settings = { ...PLAIN, keys: true, experiment: true, sample: 0.02 }

export const CLIENT_KEY = 'bench-client-key'
/** Refuses connections: no program of ours can listen there (compressnet). Not 1, which `fetch` does not even try. */
const DEAD_PORT = 2

/** @param folder for the store. */
export function ballastYaml(settings: Settings, upstreamPort: number, folder: string): string {
  const { keys, counted, experiment, sample, judge } = settings
  const upstream = `http://127.0.0.1:${upstreamPort}`
  const judgeUrl = judge === 'dead' ? `http://127.0.0.1:${DEAD_PORT}/v1` : `${upstream}/judge/v1`
  const limit = counted ? ', requests_per_minute: 1000000000' : ''
  const lines = [
    'listen: 127.0.0.1:0',
    'admin: {listen: "127.0.0.1:0"}',
    `store: ${JSON.stringify(`sqlite:${folder}/ballast.db`)}`,
    keys ? `clients: [{name: bench, key: ${CLIENT_KEY}${limit}}]` : '',
    'upstreams:',
    `  mock: {base_url: "${upstream}/v1", api_key: upstream-key}`,
    sample > 0 ? `  judges: {base_url: "${judgeUrl}", api_key: judge-key}` : '',
    'routes:',
    experiment ? `  - {model: "${MODEL}", upstream: mock, experiment: birds}` : '',
    '  - {model: "*", upstream: mock}',
  ]
  if (experiment) {
    lines.push(
      'experiments:',
      '  birds:',
      '    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}',
      sample > 0 ? `    check: nineteenth-century\n    sample: ${sample}` : '',
    )
  }
  if (sample > 0) lines.push('judge: {upstream: judges, model: judge}')
  return `${lines.filter((line) => line !== '').join('\n')}\n`
}
