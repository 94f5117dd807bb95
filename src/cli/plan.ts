/** A configuration as it will run, without its secrets, as data. Used by `ballast check`; `plan-text.ts` draws it. */
import ms from 'ms'
import { defaultUpstream } from '../config/default-upstream.ts'
import type { Config } from '../config/load.ts'
import { formatAddress } from '../config/values.ts'
import type { Experiment, Ramp, Route } from '../domain/experiment.ts'
import type { Policy } from '../domain/policy.ts'
import type { Keep } from '../domain/sample.ts'
import { shownStore } from '../domain/store-address.ts'
import { baselineOf } from '../policy/rules.ts'
import { experimentsOf, modelsOf } from './warnings.ts'

export interface PlanView {
  readonly hash: string
  readonly listen: string
  readonly admin: string
  readonly adminToken: boolean
  readonly store: string
  /** What is kept of samples, in words. */
  readonly samples: string
  /** Names; `open`: no keys are asked for; `local`: none, and only this machine is answered. */
  readonly clients: readonly string[] | 'open' | 'local'
  readonly routes: readonly RouteView[]
  /** The upstream of requests that no route decides. */
  readonly passthrough: string
  /** Share of the units that are kept out of everything, 0 to 1; 0 without a holdout. */
  readonly holdout: number
  /** Whether units are stored under a key of the configuration, or one that the store keeps. */
  readonly unitKey: boolean
  readonly experiments: readonly ExperimentView[]
  /** Those that something injects. */
  readonly policies: readonly PolicyView[]
  readonly checks: readonly CheckView[]
  readonly judge: {
    readonly models: readonly { readonly model: string; readonly upstream: string }[]
    readonly repeat: number
    readonly concurrency: number
    /** Of each model; null: unlimited. */
    readonly requestsPerMinute: number | null
    readonly tokensPerDay: number | null
    /** Models with budgets of their own. */
    readonly budgets: readonly string[]
  } | null
  readonly upstreams: readonly UpstreamView[]
}

export interface RouteView {
  readonly model: string
  readonly upstream: string
  readonly experiment: string | null
  /** Those that exclude each other on this route; empty where it has one or none. */
  readonly experiments: readonly {
    readonly experiment: string
    readonly weight: number
    /** Of the units, 0 to 1. */
    readonly share: number
  }[]
  readonly policy: string | null
  readonly check: string | null
  readonly sample: number
  /** The policy whose context stood in the model's training data. */
  readonly trained_with: string | null
  /** What becomes of text like that context. */
  readonly triggers: 'flag' | 'strip' | 'block' | null
  /** `in-domain`: the context is injected where the domain rule recognises a request. */
  readonly match_training: 'in-domain' | null
}

export interface ExperimentView {
  readonly experiment: string
  readonly unit: readonly string[]
  /** Share of the units taken in, 0 to 1; or by the day it begins to hold. */
  readonly ramp: Ramp
  /** Whether the kill switch of all arms is thrown. */
  readonly off: boolean
  readonly check: string | null
  readonly arms: readonly {
    readonly arm: string
    readonly policy: string | null
    readonly weight: number
    /** Of the units, 0 to 1. */
    readonly share: number
    /** Of the answers, 0 to 1. */
    readonly sample: number
    /** Whether its kill switch is thrown, or that of all arms. */
    readonly off: boolean
  }[]
  /** When ballast acts on arms by itself; null where it does not. */
  readonly rollback: {
    readonly worse_than: string
    readonly alpha: number
    readonly above: number | null
  } | null
  readonly promote: { readonly better_than: string; readonly alpha: number } | null
}

export interface PolicyView {
  readonly policy: string
  /** Null where it is applied to every request. */
  readonly when: Policy['when'] | null
  readonly on_unsupported: NonNullable<Policy['on_unsupported']>
}

interface CheckView {
  readonly check: string
  readonly description: string
  readonly rubrics: readonly {
    readonly rubric: string
    readonly scale: readonly [number, number] | null
    readonly labels: readonly string[]
    /** Who is asked; empty without a judge. */
    readonly models: readonly string[]
    /** How often each is asked. */
    readonly repeat: number
  }[]
}

export interface UpstreamView {
  readonly upstream: string
  readonly base_url: string
  /** Whose key is sent. */
  readonly key: 'its own' | "the client's" | 'none'
  readonly retries: number
  readonly fallback: readonly string[]
  /** What passes, as the configuration lists it, and the names of what is sent besides. */
  readonly headers: {
    readonly request: readonly string[]
    readonly response: readonly string[]
    readonly set: readonly string[]
  }
}

const KEPT: Readonly<Record<Keep, string>> = {
  full: 'texts are kept as they are',
  redacted: 'texts are kept without e-mail and IP addresses, phone, card and account numbers, and keys',
  verdicts: 'texts are erased once there is a verdict',
}

/** What becomes of the texts of samples. */
export function keptInWords({ keep, retention }: Config['samples']): string {
  const until = retention === undefined ? '' : `, at most for ${ms(retention, { long: true })}`
  return `${KEPT[keep]}${until}`
}

export function viewPlan(config: Config): PlanView {
  const { routes, experiments, checks, judge, clients } = config
  const arms = Object.values(experiments).flatMap((experiment) => Object.values(experiment.arms))
  const used = new Set([...routes, ...Object.values(experiments)].map(({ check }) => check))
  const injected = new Set([...routes, ...arms].map(({ policy }) => policy))
  return {
    hash: config.hash,
    listen: formatAddress(config.listen),
    admin: formatAddress(config.admin.listen),
    adminToken: config.admin.token !== undefined,
    store: shownStore(config.store),
    samples: keptInWords(config.samples),
    clients: Array.isArray(clients) ? clients.map(({ name }) => name) : clients === 'open' ? 'open' : 'local',
    routes: routes.map(viewRoute),
    passthrough: defaultUpstream(config),
    holdout: config.holdout?.share ?? 0,
    unitKey: config.unit_key !== undefined,
    experiments: Object.entries(experiments).map(([name, experiment]) => viewExperiment(name, experiment)),
    policies: [...config.policies.values()]
      .filter(({ id }) => injected.has(id))
      .map(({ id, when, on_unsupported }) => ({
        policy: id,
        when: when ?? null,
        on_unsupported: on_unsupported ?? 'reject',
      })),
    checks: [...checks.values()]
      .filter(({ id }) => used.has(id))
      .map(({ id, description, rubrics }) => ({
        check: id,
        description,
        rubrics: rubrics.map(({ id: rubric, scale, labels, ...asked }) => ({
          rubric,
          scale: scale ?? null,
          labels: labels ?? [],
          models: modelsOf(asked, judge),
          repeat: asked.repeat ?? judge?.repeat ?? 1,
        })),
      })),
    judge:
      judge === undefined
        ? null
        : {
            models: judge.models.map((model) => ({
              model,
              upstream: judge.upstreams[model] ?? judge.upstream,
            })),
            repeat: judge.repeat,
            concurrency: judge.concurrency,
            requestsPerMinute: judge.requests_per_minute ?? null,
            tokensPerDay: judge.tokens_per_day ?? null,
            budgets: Object.keys(judge.budgets),
          },
    upstreams: Object.entries(config.upstreams).map(
      ([upstream, { base_url, api_key, retries, fallback, headers }]) => ({
        upstream,
        base_url,
        key: api_key === undefined ? 'none' : api_key === 'passthrough' ? "the client's" : 'its own',
        retries,
        fallback,
        headers: { ...headers, set: Object.keys(headers.set) },
      }),
    ),
  }
}

function viewRoute(route: Route): RouteView {
  const { model, upstream, experiment, policy, check, sample } = route
  const exclusive = route.experiments === undefined ? [] : experimentsOf(route)
  const total = exclusive.reduce((sum, { weight }) => sum + weight, 0)
  return {
    model,
    upstream,
    experiment: experiment ?? null,
    experiments: exclusive.map(({ name, weight }) => ({ experiment: name, weight, share: weight / total })),
    policy: policy ?? null,
    check: check ?? null,
    sample: sample ?? 0,
    trained_with: route.trained_with ?? null,
    triggers: route.triggers ?? null,
    match_training: route.match_training ?? null,
  }
}

function viewExperiment(
  experiment: string,
  { unit, arms, ramp, off = false, check, sample, rollback, promote }: Experiment,
): ExperimentView {
  const baseline = baselineOf(
    Object.entries(arms).map(([name, { policy }]) => ({ name, policyId: policy ?? null })),
  ).name
  const total = Object.values(arms).reduce((sum, { weight }) => sum + weight, 0)
  return {
    experiment,
    unit,
    ramp,
    off,
    check: check ?? null,
    arms: Object.entries(arms).map(([arm, { weight, policy, off: armOff = false }]) => ({
      arm,
      policy: policy ?? null,
      weight,
      share: weight / total,
      sample: typeof sample === 'object' ? (sample[arm] ?? 0) : (sample ?? 0),
      off: off || armOff,
    })),
    rollback:
      rollback === undefined
        ? null
        : {
            worse_than: rollback.worse_than ?? baseline,
            alpha: rollback.alpha,
            above: rollback.above ?? null,
          },
    promote:
      promote === undefined ? null : { better_than: promote.better_than ?? baseline, alpha: promote.alpha },
  }
}
