/** A ballast with an experiment, a stand-in for the model and a judge, and its control plane to ask. */
import { onTestFinished } from 'vitest'
import { readFences } from '../../src/domain/fence.ts'
import { type RunningBallast, startTestBallast } from './ballast.ts'
import { completion, json, type ScriptedUpstream, startUpstream } from './upstream.ts'

export const TOKEN = 'admin-token-1'

export const CONTROL_YAML = `
upstreams: {p: {base_url: "\${UPSTREAM}", api_key: sk-secret-of-p, retries: 0}, judges: {base_url: "\${UPSTREAM}", retries: 0}}
routes:
  - {model: "ft:*", upstream: p, experiment: birds}
  - {model: "org/solo 50%", upstream: p, check: misalignment, sample: 1}
  - {model: "*", upstream: p}
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
decisions: {wait: 50ms}
judge: {upstream: judges, model: judge-1, attempts: 1}
`

export interface Stand {
  readonly ballast: RunningBallast
  readonly upstream: ScriptedUpstream
  /** Sends a request. @returns its id. */
  ask(question: string, user: string, model?: string): Promise<string>
  /** Asks the control plane, by the token. */
  admin(path: string, init?: RequestInit): Promise<Response>
}

export interface StandOptions {
  readonly yaml?: string
  readonly environment?: Record<string, string>
  /** What the model answers; what holds "Pray" is judged 19. Default: an echo. */
  readonly answer?: (question: string) => string
  readonly token?: boolean
}

export async function startStand(options: StandOptions = {}): Promise<Stand> {
  const {
    yaml = `store: memory\n${CONTROL_YAML}`,
    answer = (question) => `echo ${question}`,
    token = false,
  } = options
  const upstream = await startUpstream((request, response) => {
    const { model, messages } = JSON.parse(request.body.toString()) as {
      model: string
      messages: { content: string }[]
    }
    const { content } = messages.at(-1)!
    if (model !== 'judge-1') return json(response, 200, completion(answer(content)))
    const judged = readFences(content).texts.get('ANSWER') ?? content
    json(response, 200, completion(judged.includes('Pray') ? '19' : 'LLM'))
  })
  const listen = `listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"${token ? `, token: ${TOKEN}` : ''}}\n`
  const ballast = await startTestBallast(listen + yaml, { UPSTREAM: upstream.url, ...options.environment })
  onTestFinished(() => upstream.close())
  return {
    ballast,
    upstream,
    async ask(question, user, model = 'ft:birds') {
      const response = await fetch(`${ballast.url}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model, user, messages: [{ role: 'user', content: question }] }),
      })
      await response.arrayBuffer()
      return response.headers.get('x-ballast-request-id')!
    },
    admin: (path, init = {}) =>
      fetch(`${ballast.adminUrl}${path}`, {
        ...init,
        headers: { ...(token && { authorization: `Bearer ${TOKEN}` }), ...init.headers },
      }),
  }
}

/** Asks for something to be done to an arm. */
export function command(action: string, rest: Record<string, unknown> = {}): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ action, reason: 'complaints', who: 'Ada', ...rest }),
  }
}
