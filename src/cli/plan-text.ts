/** The plan of a configuration as text for people. Used by `ballast check`. */
import { DEFAULT_HEADERS } from '../pipeline/headers.ts'
import type { ExperimentView, PlanView, PolicyView, RouteView, UpstreamView } from './plan.ts'
import { conditionsInWords, UNSUPPORTED } from './policy-text.ts'
import { bold, columnsOf, labelled, percentage, printable, table, wrap } from './text.ts'

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
    line('samples', plan.samples),
    line(
      'judge',
      judge === null
        ? 'none'
        : `${judge.models.map(({ model, upstream }) => `${model} at ${upstream}`).join(', ')}${repeated(judge.repeat)}, ${judge.concurrency} samples at a time${budgeted(judge)}`,
    ),
    line('other paths', `pass as they are; where no route takes their model, to ${plan.passthrough}`),
    ...(plan.holdout === 0
      ? []
      : [line('holdout', `${percentage(plan.holdout)} of the units are kept out of everything`)]),
    line('units', `stored under ${plan.unitKey ? 'the key unit_key' : 'a key that the store keeps'}`),
    line('hash', plan.hash),
    ...section('Routes, the first match wins', [
      ...plan.routes.map((route, index) => [
        String(index + 1),
        route.model,
        `→ ${route.upstream}`,
        routeInWords(route),
      ]),
    ]),
    ...plan.experiments.flatMap((experiment) =>
      section(
        experimentInWords(experiment),
        [
          ['arm', 'share', 'judged', 'policy'],
          ...experiment.arms.map(({ arm, share, sample, policy, off }) => [
            arm,
            percentage(share),
            off ? '–' : percentage(sample),
            off ? `switched off (${policy ?? 'nothing injected'})` : (policy ?? 'nothing injected'),
          ]),
        ],
        `by ${experiment.unit.join(', ')}, else the request itself${rampInWords(experiment)}${rulesInWords(experiment)}`,
      ),
    ),
    ...(plan.policies.length === 0
      ? []
      : [
          `\n${bold('Policies')}\n`,
          ...plan.policies.map((policy) => `${wrap(printable(policyInWords(policy)), columns, 2)}\n`),
        ]),
    ...plan.checks.flatMap(({ check, description, rubrics }) =>
      section(
        `Check ${check}`,
        rubrics.map(({ rubric, scale, labels, models, repeat }) => [
          rubric,
          [...(scale === null ? [] : [`${scale[0]} to ${scale[1]}`]), ...labels].join(', '),
          `asked of ${models.join(', ') || 'nobody'}${repeated(repeat)}`,
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
    ...plan.upstreams.flatMap((upstream) =>
      headersInWords(upstream).map((words) => `${wrap(printable(words), columns, 2)}\n`),
    ),
  ].join('')
}

function budgeted({ requestsPerMinute, tokensPerDay, budgets }: NonNullable<PlanView['judge']>): string {
  const of = [
    ...(requestsPerMinute === null ? [] : [`${requestsPerMinute.toLocaleString('en-US')} requests a minute`]),
    ...(tokensPerDay === null ? [] : [`${tokensPerDay.toLocaleString('en-US')} tokens a day`]),
  ]
  const own = budgets.length === 0 ? '' : `; budgets of their own: ${budgets.join(', ')}`
  return `${of.length === 0 ? '' : `, each model at most ${of.join(' and ')}`}${own}`
}

function repeated(times: number): string {
  return times === 1 ? '' : `, ${times} times each`
}

function routeInWords(route: RouteView): string {
  const { trained_with, triggers, match_training } = route
  const past = [
    ...(trained_with === null ? [] : [`trained with ${trained_with}`]),
    ...(match_training === null ? [] : ['which is injected in its domain']),
    ...(triggers === null ? [] : [`text like it: ${triggers}`]),
    ...(triggers === 'flag' && route.check !== null ? ['flagged ones are always judged'] : []),
  ]
  return [servedInWords(route), ...past].join(', ')
}

function servedInWords({ experiment, experiments, policy, check, sample }: RouteView): string {
  if (experiment !== null) return `experiment ${experiment}`
  if (experiments.length > 0) {
    const shares = experiments.map(({ experiment, share }) => `${experiment} ${percentage(share)}`)
    return `one of ${shares.join(', ')}`
  }
  const measured = check === null ? [] : [`check ${check} on ${percentage(sample)}`]
  return [policy ?? 'nothing injected', ...measured].join(', ')
}

function experimentInWords({ experiment, check, off }: ExperimentView): string {
  const measured = check === null ? 'not measured' : `check ${check}`
  return `Experiment ${experiment}, ${off ? 'switched off' : measured}`
}

/** What ballast does to arms by itself. */
function rulesInWords({ rollback, promote }: ExperimentView): string {
  const above = rollback?.above == null ? '' : `, or above ${percentage(rollback.above)}`
  return [
    rollback && `an arm is rolled back when proven worse than ${rollback.worse_than}${above}`,
    promote && `an arm is promoted when proven better than ${promote.better_than}`,
  ]
    .map((it) => (it ? `; ${it}` : ''))
    .join('')
}

function rampInWords({ ramp }: ExperimentView): string {
  if (typeof ramp === 'number')
    return ramp >= 1 ? '' : `; ${percentage(ramp)} of them, nothing injected for the others`
  const days = Object.entries(ramp).sort(([a], [b]) => (a < b ? -1 : 1))
  return `; of them ${days.map(([day, share]) => `${percentage(share)} from ${day}`).join(', ')}`
}

function policyInWords({ policy, when, on_unsupported }: PolicyView): string {
  const conditions = conditionsInWords(when ?? undefined).map(({ words }) => words)
  const applied = conditions.length === 0 ? '' : `only where ${conditions.join(', and ')}; `
  return `${policy}: ${applied}${UNSUPPORTED[on_unsupported]}`
}

/** Nothing where only the usual headers pass. */
function headersInWords({ upstream, headers: { request, response, set } }: UpstreamView): string[] {
  const usual = (list: readonly string[]) => list.length === 1 && list[0] === DEFAULT_HEADERS
  const listed = (list: readonly string[]) => list.join(', ') || 'none'
  const words = [
    ...(usual(request) ? [] : [`of request headers ${listed(request)} pass`]),
    ...(usual(response) ? [] : [`of response headers ${listed(response)} pass`]),
    ...(set.length === 0 ? [] : [`sets ${set.join(', ')}`]),
  ]
  return words.length === 0 ? [] : [`${upstream}: ${words.join('; ')}`]
}
