/** Options that say which samples are meant. Used by `samples.ts`. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import ms from 'ms'
import type { RequestOrder, SampleFilter, StoredSample } from '../domain/store.ts'
import { VERDICTS } from '../domain/verdict.ts'
import type { OpenStore } from './open-store.ts'

export interface FilterOptions {
  readonly experiment?: string
  readonly arm?: string
  readonly check?: string
  readonly verdict?: SampleFilter['verdict']
  readonly since?: number
  readonly before?: number
  readonly labelled?: boolean
  readonly unlabelled?: boolean
}

/** Samples read at a time; each may hold megabytes. */
const PAGE = 50

export function addFilters(command: Command): Command {
  return command
    .option('--experiment <name>', 'those of an experiment; of a route without one, its model')
    .option('--arm <name>', 'those of an arm')
    .option('--check <id>', 'those of a check')
    .addOption(
      new Option('--verdict <verdict>', 'those with a verdict, or still without').choices([
        ...VERDICTS,
        'waiting',
      ]),
    )
    .option(
      '--since <time>',
      'requested at or after: 2026-11-01, 2026-11-01T12:00Z, or so long ago: 2d',
      moment,
    )
    .option('--before <time>', 'requested before', moment)
    .option('--labelled', 'those that a person has labelled')
    .addOption(new Option('--unlabelled', 'those that nobody has labelled').conflicts('labelled'))
}

export function filterOf(options: FilterOptions, ids: readonly string[] = []): SampleFilter {
  const { labelled, unlabelled } = options
  const { experiment, arm, check, verdict, since, before } = options
  const given = { experiment, arm, check, verdict, since, before }
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(ids.length > 0 && { ids }),
    ...((labelled || unlabelled) && { labelled: labelled === true }),
  }
}

const ISO = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/

/** A time, or a duration before now, in milliseconds since the epoch. */
function moment(text: string): number {
  const ago = /^\d+(?:\.\d+)? *[a-z]+$/i.test(text) ? ms(text as ms.StringValue) : undefined
  const time = ago !== undefined ? Date.now() - ago : ISO.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isFinite(time)) return time
  throw new InvalidArgumentError(
    'It is a time such as 2026-11-01 or 2026-11-01T12:00Z, or a duration such as 2d.',
  )
}

/** All samples that are meant, newest first, a page at a time in memory. */
export async function* eachSample(
  store: OpenStore,
  filter: SampleFilter,
  limit = Number.POSITIVE_INFINITY,
): AsyncGenerator<StoredSample> {
  let after: RequestOrder | undefined
  for (let left = limit; left > 0; ) {
    const size = Math.min(PAGE, left)
    const page = await store.find(filter, size, after)
    yield* page
    left -= page.length
    const last = page.at(-1)?.sample
    if (last === undefined || page.length < size) return
    after = { requestedAt: last.requestedAt, sampleId: last.id }
  }
}
