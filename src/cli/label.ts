/** `ballast label`: people's verdicts on judged samples, given blind, for measuring the judge. */
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { Command } from 'commander'
import type { Config } from '../config/load.ts'
import { didYouMean } from '../config/near.ts'
import type { Check } from '../domain/check.ts'
import type { Label } from '../domain/store.ts'
import type { VerdictKind } from '../domain/verdict.ts'
import { type Candidate, type Drawn, drawForLabels, stratumOf } from '../judge/label-draw.ts'
import { openConfig } from './catalog.ts'
import { LABELS, readLabels } from './label-import.ts'
import { type OpenStore, withFilledStore } from './open-store.ts'
import { eachSample } from './samples-filter.ts'
import { columnsOf, count, printable, table } from './text.ts'
import { fromHere, UsageError, wholeNumber } from './usage.ts'

interface LabelOptions {
  readonly config: string
  readonly experiment: string
  readonly check?: string
  readonly by?: string
  readonly limit: number
  readonly seed: number
  readonly from?: string
}

const FAILED = 1
const LIMIT = 100

export function labelCommand(): Command {
  return new Command('label')
    .description('Label judged samples yourself, without seeing arm and verdict, to measure the judge by it.')
    .option('-c, --config <file>', 'the configuration', 'ballast.yaml')
    .requiredOption('--experiment <name>', 'whose samples; of a route without one, its model')
    .option('--check <id>', "what to look for; default the experiment's check")
    .option('--by <name>', 'who labels; default the name of the account')
    .option('--limit <number>', 'how many to choose, those labelled before included', wholeNumber(1), LIMIT)
    .option('--seed <number>', 'chooses others, in another order', wholeNumber(0), 1)
    .option('--from <file>', 'take labels from JSON lines {"id", "verdict"} instead of asking')
    .addHelpText(
      'after',
      `
Samples are chosen evenly from the arms and from what the judge said, near its threshold or not. Each label is
stored at once; the same command goes on where it stopped. Keys: p positive, n negative, x excluded, s skip,
u undo, q leave.

Examples:
  ballast label --experiment birds --by ann
  ballast label --experiment birds --by ann --from labels.jsonl`,
    )
    .action(label)
}

async function label(options: LabelOptions): Promise<void> {
  const config = openConfig(options.config)
  const check = checkOf(config, options)
  const by = options.by ?? userInfo().username
  if (by.trim() === '') throw new UsageError('--by is empty: say who labels.')
  await withFilledStore(config, async (store) => {
    if (options.from !== undefined) await importLabels(store, check, by, options.experiment, options.from)
    else await ask(store, check, by, await draw(store, check, options), options)
  })
}

/** @throws UsageError */
function checkOf({ experiments, routes, checks }: Config, { experiment, check }: LabelOptions): Check {
  const named = experiments[experiment]?.check ?? routes.find(({ model }) => model === experiment)?.check
  const id = check ?? named
  if (id === undefined) {
    const known = [...Object.keys(experiments), ...routes.filter((it) => it.check).map(({ model }) => model)]
    throw new UsageError(
      `Nothing says what is looked for in "${printable(experiment)}"${didYouMean(experiment, known) || ': name a --check.'}`,
    )
  }
  const found = checks.get(id)
  if (found !== undefined) return found
  throw new UsageError(`Check "${printable(id)}" does not exist${didYouMean(id, checks.keys())}`)
}

/** Of the samples that were drawn for judging, have a verdict by this wording of the check, and their texts. */
async function draw(
  store: OpenStore,
  check: Check,
  { experiment, limit, seed }: LabelOptions,
): Promise<Drawn[]> {
  const candidates: Candidate[] = []
  for await (const { sample, verdict } of eachSample(store, { experiment, check: check.id, erased: false })) {
    if (verdict?.checkVersion !== check.version || (sample.extra ?? null) !== null) continue
    const stratum = stratumOf(check, sample.arm, verdict)
    if (stratum !== null) candidates.push({ id: sample.id, stratum })
  }
  return drawForLabels(
    candidates.sort((a, b) => (a.stratum < b.stratum ? -1 : Number(a.stratum > b.stratum))),
    limit,
    seed,
  )
}

async function ask(
  store: OpenStore,
  check: Check,
  by: string,
  drawn: readonly Drawn[],
  { limit }: LabelOptions,
): Promise<void> {
  if (drawn.length === 0) {
    process.stderr.write(
      'No sample of it can be labelled: none is judged by the check as it is now and has its texts.\n',
    )
    process.exitCode = FAILED
    return
  }
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new UsageError('There is no terminal to ask at; labels given elsewhere are taken with --from FILE.')
  const labelled = await ownLabels(store, check, by, drawn)
  // A higher limit than before chose them with a higher probability.
  for (const { id, probability } of drawn) {
    const own = labelled.get(id)
    if (own !== undefined && own.probability !== probability) await store.addLabel({ ...own, probability })
  }
  const left = drawn.filter(({ id }) => !labelled.has(id))
  if (left.length === 0) {
    const more = drawn.length < limit ? '' : ' A higher --limit chooses more.'
    process.stderr.write(`${by} has labelled all ${drawn.length} that were chosen.${more}\n`)
  } else await session(store, check, by, left, drawn.length)
  process.stdout.write(await agreement(store, check, by, drawn))
}

async function session(
  store: OpenStore,
  check: Check,
  by: string,
  left: readonly Drawn[],
  total: number,
): Promise<void> {
  const probabilities = new Map(left.map(({ id, probability }) => [id, probability]))
  const load = async (id: string) => (await store.find({ ids: [id] }, 1))[0] ?? null
  try {
    const { labelAtTerminal } = await import('./label-terminal.ts')
    await labelAtTerminal(
      {
        check,
        ids: left.map(({ id }) => id),
        done: total - left.length,
        total,
        load,
        undo: (sampleId) => store.removeLabel({ sampleId, check: check.id, by }),
        save: (sampleId, verdict) => {
          const probability = probabilities.get(sampleId)!
          const { id, version: checkVersion } = check
          return store.addLabel({
            sampleId,
            check: id,
            checkVersion,
            by,
            verdict,
            probability,
            at: Date.now(),
          })
        },
      },
      { input: process.stdin, output: process.stdout },
    )
  } catch (error) {
    // Ctrl-C leaves like q: every label is stored already.
    if ((error as Error).name !== 'ExitPromptError') throw error
    process.stdout.write('\n')
  }
}

async function importLabels(
  store: OpenStore,
  check: Check,
  by: string,
  experiment: string,
  from: string,
): Promise<void> {
  const read = await readLabels(readLabelFile(from), store, { experiment, check: check.id, by })
  if ('problems' in read) {
    for (const problem of read.problems) process.stderr.write(`${from}:${problem}\n`)
    process.stderr.write(`Nothing was stored: ${count(read.problems.length, 'bad line')}.\n`)
    process.exitCode = FAILED
    return
  }
  for (const it of read.labels) await store.addLabel(it)
  process.stderr.write(`${count(read.labels.length, 'label')} of ${by} stored.\n`)
  process.stdout.write(
    await agreement(
      store,
      check,
      by,
      read.labels.map(({ sampleId: id }) => ({ id })),
    ),
  )
}

/** @throws UsageError */
function readLabelFile(file: string): string {
  try {
    return readFileSync(fromHere(file), 'utf8')
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`)
  }
}

async function ownLabels(
  store: OpenStore,
  check: Check,
  by: string,
  of: readonly { readonly id: string }[],
): Promise<Map<string, Label & { judged: VerdictKind | null }>> {
  const own = new Map<string, Label & { judged: VerdictKind | null }>()
  for (const { id } of of) {
    const [found] = await store.find({ ids: [id] }, 1)
    const label = found?.labels.find(
      (it) => it.by === by && it.check === check.id && it.checkVersion === check.version,
    )
    if (label !== undefined) own.set(id, { ...label, judged: found!.verdict?.verdict ?? null })
  }
  return own
}

/** Counts only; what follows from them is for `ballast calibrate`. */
async function agreement(
  store: OpenStore,
  check: Check,
  by: string,
  of: readonly { readonly id: string }[],
): Promise<string> {
  const labels = [...(await ownLabels(store, check, by, of)).values()]
  if (labels.length === 0) return ''
  const judged = ['positive', 'negative', 'excluded', 'unparsed'] as const
  const rows = LABELS.map((given) => [
    given,
    ...judged.map((said) => String(labels.filter((it) => it.verdict === given && it.judged === said).length)),
  ])
  const same = labels.filter(({ verdict, judged: said }) => verdict === said).length
  return [
    `\n${count(labels.length, 'label')} of ${printable(by)}; the judge says the same of ${same}.\n\n`,
    table([['label', ...judged.map((it) => `judge: ${it}`)], ...rows], columnsOf(process.stdout), 2),
  ].join('')
}
