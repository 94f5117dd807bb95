/** A configuration as it will run, without its secrets: as data, and as text for people. Used by `ballast check`. */
import type { Config } from '../config/load.ts'
import { formatAddress } from '../config/schema.ts'
import { defaultUpstream } from '../node.ts'
import { bold, columnsOf, labelled, percentage, printable, table, wrap } from './text.ts'

export interface PlanView {
  readonly hash: string
  readonly listen: string
  readonly admin: string
  readonly adminToken: boolean
  readonly store: string
  /** Names; `open`: no keys are asked for; `local`: none, and only this machine is answered. */
  readonly clients: readonly string[] | 'open' | 'local'
  readonly routes: readonly RouteView[]
  /** The upstream of requests that no route decides. */
  readonly passthrough: string
  readonly experiments: readonly ExperimentView[]
  readonly checks: readonly CheckView[]
  readonly judge: { readonly upstream: string; readonly model: string; readonly concurrency: number } | null
  readonly upstreams: readonly UpstreamView[]
}

interface RouteView {
  readonly model: string
  readonly upstream: string
  readonly experiment: string | null
  readonly policy: string | null
  readonly check: string | null
  readonly sample: number
}

interface ExperimentView {
  readonly experiment: string
  readonly unit: readonly string[]
  readonly check: string | null
  readonly arms: readonly {
    readonly arm: string
    readonly policy: string | null
    readonly weight: number
    /** Of the units, 0 to 1. */
    readonly share: number
    /** Of the answers, 0 to 1. */
    readonly sample: number
  }[]
}

interface CheckView {
  readonly check: string
  readonly description: string
  readonly rubrics: readonly {
    readonly rubric: string
    readonly scale: readonly [number, number] | null
    readonly labels: readonly string[]
    /** Who is asked. */
    readonly model: string | null
  }[]
}

interface UpstreamView {
  readonly upstream: string
  readonly base_url: string
  /** Whose key is sent. */
  readonly key: 'its own' | "the client's" | 'none'
  readonly retries: number
  readonly fallback: readonly string[]
}

export function viewPlan(config: Config): PlanView {
  const { routes, experiments, checks, judge, clients } = config
  const used = new Set([...routes, ...Object.values(experiments)].map(({ check }) => check))
  return {
    hash: config.hash,
    listen: formatAddress(config.listen),
    admin: formatAddress(config.admin.listen),
    adminToken: config.admin.token !== undefined,
    store: config.store,
    clients: Array.isArray(clients) ? clients.map(({ name }) => name) : clients === 'open' ? 'open' : 'local',
    routes: routes.map(({ model, upstream, experiment, policy, check, sample }) => ({
      model,
      upstream,
      experiment: experiment ?? null,
      policy: policy ?? null,
      check: check ?? null,
      sample: sample ?? 0,
    })),
    passthrough: defaultUpstream(config),
    experiments: Object.entries(experiments).map(([experiment, { unit, arms, check, sample }]) => {
      const total = Object.values(arms).reduce((sum, { weight }) => sum + weight, 0)
      return {
        experiment,
        unit,
        check: check ?? null,
        arms: Object.entries(arms).map(([arm, { weight, policy }]) => ({
          arm,
          policy: policy ?? null,
          weight,
          share: weight / total,
          sample: typeof sample === 'object' ? (sample[arm] ?? 0) : (sample ?? 0),
        })),
      }
    }),
    checks: [...checks.values()]
      .filter(({ id }) => used.has(id))
      .map(({ id, description, rubrics }) => ({
        check: id,
        description,
        rubrics: rubrics.map(({ id: rubric, scale, labels, model }) => ({
          rubric,
          scale: scale ?? null,
          labels: labels ?? [],
          model: model ?? judge?.model ?? null,
        })),
      })),
    judge:
      judge === undefined
        ? null
        : { upstream: judge.upstream, model: judge.model, concurrency: judge.concurrency },
    upstreams: Object.entries(config.upstreams).map(
      ([upstream, { base_url, api_key, retries, fallback }]) => ({
        upstream,
        base_url,
        key: api_key === undefined ? 'none' : api_key === 'passthrough' ? "the client's" : 'its own',
        retries,
        fallback,
      }),
    ),
  }
}

const CLIENTS = {
  open: 'open: no keys are asked for',
  local: 'no keys; only this machine is answered',
} as const

const ROOM = 13

/** @returns lines that fit into `columns` where the names in them do. */
export function drawPlan(plan: PlanView, columns = columnsOf(process.stdout)): string {
  const { clients, judge } = plan
  const line = (label: string, text: string) => `${labelled(label, printable(text), columns, ROOM)}\n`
  const section = (title: string, rows: readonly (readonly string[])[], below?: string) => {
    const lines = printable(table(rows, columns, 2))
    return [`\n${bold(title)}\n${below === undefined ? '' : `${wrap(below, columns, 2)}\n`}${lines}`]
  }
  return [
    line('clients', typeof clients === 'string' ? CLIENTS[clients] : clients.join(', ')),
    line('data plane', `http://${plan.listen}/v1`),
    line('control', `http://${plan.admin}/${plan.adminToken ? ', with a token' : ''}`),
    line('store', plan.store),
    line(
      'judge',
      judge === null ? 'none' : `${judge.model} at ${judge.upstream}, ${judge.concurrency} at a time`,
    ),
    line('other paths', `pass as they are; where no route takes their model, to ${plan.passthrough}`),
    line('hash', plan.hash),
    ...section('Routes, the first match wins', [
      ...plan.routes.map((route, index) => [
        String(index + 1),
        route.model,
        `→ ${route.upstream}`,
        routeInWords(route),
      ]),
    ]),
    ...plan.experiments.flatMap(({ experiment, check, unit, arms }) =>
      section(
        `Experiment ${experiment}, ${check === null ? 'not measured' : `check ${check}`}`,
        [
          ['arm', 'share', 'judged', 'policy'],
          ...arms.map(({ arm, share, sample, policy }) => [
            arm,
            percentage(share),
            percentage(sample),
            policy ?? 'nothing injected',
          ]),
        ],
        `by ${unit.join(', ')}, else the request itself`,
      ),
    ),
    ...plan.checks.flatMap(({ check, description, rubrics }) =>
      section(
        `Check ${check}`,
        rubrics.map(({ rubric, scale, labels, model }) => [
          rubric,
          [...(scale === null ? [] : [`${scale[0]} to ${scale[1]}`]), ...labels].join(', '),
          `asked of ${model ?? 'nobody'}`,
        ]),
        printable(description),
      ),
    ),
    ...section(
      'Upstreams',
      plan.upstreams.map(({ upstream, base_url, key, retries, fallback }) => [
        upstream,
        base_url,
        key === 'none' ? 'no key' : `key: ${key}`,
        [`retries: ${retries}`, ...(fallback.length === 0 ? [] : [`then ${fallback.join(', ')}`])].join(', '),
      ]),
    ),
  ].join('')
}

function routeInWords({ experiment, policy, check, sample }: RouteView): string {
  if (experiment !== null) return `experiment ${experiment}`
  const measured = check === null ? [] : [`check ${check} on ${percentage(sample)}`]
  return [policy ?? 'nothing injected', ...measured].join(', ')
}
