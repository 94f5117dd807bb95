/** Compiles plans from YAML and asks what they decide, without sending anything. */
import { join } from 'node:path'
import { parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { compilePlan, type Plan } from '../../src/policy/compile.ts'
import { type Asked, type Assignment, assign, findRoute } from '../../src/policy/decide.ts'
import { SURFACES } from '../../src/policy/surfaces.ts'

export const CHAT = SURFACES.get('/chat/completions')!
/** The moment of requests that do not say otherwise: noon, UTC. */
export const NOW = Date.UTC(2026, 10, 3, 12)

/** @param text a configuration; `p` is its upstream. */
export function planOf(text: string): Plan {
  const file = join(import.meta.dirname, 'ballast.yaml')
  const yaml = `upstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}\n${text}`
  return compilePlan(parseConfig(yaml, file, { environment: {}, catalog: CATALOG_FOLDER }))
}

export function asked(body: string, rest: Partial<Asked> = {}): Asked {
  return { id: 'request-1', headers: [], body: Buffer.from(body), client: null, receivedAt: NOW, ...rest }
}

/** Where a chat request of this unit (its `x-ballast-unit`) belongs. */
export function assignUnit(
  plan: Plan,
  unit: string,
  rest: { model?: string; now?: number } = {},
): Assignment {
  const request = asked(JSON.stringify({ model: rest.model ?? 'm', messages: [] }), {
    headers: ['x-ballast-unit', Buffer.from(unit).toString('latin1')],
    receivedAt: rest.now ?? NOW,
  })
  const decoded = CHAT.decode(request.body)
  return assign(findRoute(plan, decoded), decoded, request)
}
