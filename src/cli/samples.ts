/** `ballast samples`: lists, shows, exports, erases and judges anew what was kept of the exchanges that are judged. */
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import type { SampleFilter, StoredSample } from '../domain/store.ts'
import { openConfig } from './catalog.ts'
import { type OpenStore, withFilledStore } from './open-store.ts'
import { addFilters, eachSample, type FilterOptions, filterOf } from './samples-filter.ts'
import { drawSample, drawSamples, sampleAsJson } from './samples-text.ts'
import { columnsOf, count, printable, printableJson } from './text.ts'
import { fromHere, UsageError, wholeNumber } from './usage.ts'

interface SharedOptions extends FilterOptions {
  readonly config: string
  readonly limit?: number
  readonly json?: boolean
}

const NOTHING_FOUND = 1
const LISTED = 50

export function samplesCommand(): Command {
  return new Command('samples')
    .description('List, show, export and erase the exchanges that were kept to be judged.')
    .addHelpText(
      'after',
      `
Examples:
  ballast samples list --experiment birds --verdict positive --since 2d
  ballast samples show ID
  ballast samples export --experiment birds -o birds.jsonl
  ballast samples delete --before 90d --dry-run
  ballast samples retry --experiment birds

Exit codes: 0, 1 (nothing was found, or it failed), 2 (it was called wrongly).`,
    )
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(exportCommand())
    .addCommand(deleteCommand())
    .addCommand(retryCommand())
}

function subcommand(name: string, description: string, example: string): Command {
  return new Command(name)
    .description(description)
    .option('-c, --config <file>', 'the configuration that names the store', 'ballast.yaml')
    .addHelpText('after', `\nExample:\n  ballast samples ${example}`)
}

function listCommand(): Command {
  return addFilters(
    subcommand('list', 'List them, newest first.', 'list --verdict positive --since 2d --limit 20'),
  )
    .option('--limit <number>', 'at most so many', wholeNumber(1), LISTED)
    .option('--json', 'print them as JSON, without messages and answer', false)
    .action((options: SharedOptions) =>
      withFilledStore(openConfig(options.config), async (store) => {
        const samples: StoredSample[] = []
        for await (const found of eachSample(store, filterOf(options), options.limit)) samples.push(found)
        if (samples.length === 0) nothingFound()
        if (options.json) {
          const data = samples.map((it) => ({ ...sampleAsJson(it, false), question: it.sample.question }))
          process.stdout.write(`${printableJson(data, 2)}\n`)
        } else if (samples.length > 0) {
          process.stdout.write(drawSamples(samples, process.stdout.columns ?? columnsOf(process.stdout)))
        }
      }),
    )
}

function showCommand(): Command {
  return subcommand(
    'show',
    'Show one: conversation, answer, scores, verdict, labels, what was injected.',
    'show ID',
  )
    .argument('<id>', "a request's id: x-ballast-request-id of its answer")
    .option('--json', 'print it as JSON', false)
    .action((id: string, options: SharedOptions) =>
      withFilledStore(openConfig(options.config), async (store) => {
        const [found] = await store.find({ ids: [id] }, 1)
        if (found === undefined) return nothingFound(`There is no sample ${printable(id)}.`)
        process.stdout.write(
          options.json
            ? `${printableJson(sampleAsJson(found), 2)}\n`
            : drawSample(found, columnsOf(process.stdout)),
        )
      }),
    )
}

interface ExportOptions extends SharedOptions {
  readonly output?: string
  readonly text: boolean
}

function exportCommand(): Command {
  return addFilters(
    subcommand(
      'export',
      'Write them as JSON lines, newest first.',
      'export --experiment birds -o birds.jsonl',
    ),
  )
    .option('-o, --output <file>', 'into a file, readable for you alone; it appears when it is whole')
    .option('--no-text', 'nothing that client, model or judge wrote')
    .option('--limit <number>', 'at most so many', wholeNumber(1))
    .action((options: ExportOptions) =>
      withFilledStore(openConfig(options.config), (store) => exportSamples(store, options)),
    )
}

async function exportSamples(store: OpenStore, options: ExportOptions): Promise<void> {
  let written = 0
  const lines = async function* () {
    for await (const found of eachSample(store, filterOf(options), options.limit)) {
      written++
      yield `${printableJson(sampleAsJson(found, options.text))}\n`
    }
  }
  if (options.output === undefined) await pipeline(Readable.from(lines()), process.stdout, { end: false })
  else await writeWhole(fromHere(options.output), lines())
  if (written === 0) nothingFound()
  else
    process.stderr.write(
      `${count(written, 'sample')}${options.output === undefined ? '' : ` in ${options.output}`}.\n`,
    )
}

/** Writes beside the file and puts it in its place at the end, so that there is never half of it. */
async function writeWhole(path: string, lines: AsyncIterable<string>): Promise<void> {
  const beside = `${path}.${process.pid}.part`
  try {
    await pipeline(Readable.from(lines), createWriteStream(beside, { mode: 0o600, flags: 'wx' }))
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
}

interface DeleteOptions extends SharedOptions {
  readonly all: boolean
  readonly yes: boolean
  readonly dryRun: boolean
}

function deleteCommand(): Command {
  return addFilters(
    subcommand(
      'delete',
      'Erase their texts: conversation, answer, and what the judge wrote. What was counted stays counted.',
      'delete --before 90d --yes',
    ),
  )
    .argument('[ids...]', "requests' ids")
    .option('--all', 'every sample', false)
    .option('--yes', 'do not ask', false)
    .option('--dry-run', 'only say what would be erased', false)
    .action((ids: string[], options: DeleteOptions) =>
      withFilledStore(openConfig(options.config), (store) => deleteSamples(store, ids, options)),
    )
}

async function deleteSamples(
  store: OpenStore,
  ids: readonly string[],
  options: DeleteOptions,
): Promise<void> {
  const filter = meant(ids, options)
  await nameMissing(store, ids)
  const withText: SampleFilter = { ...filter, erased: false }
  const erasing = await store.howMany(withText)
  if (erasing === 0) return nothingFound('No sample with a text is like that.')
  const waiting = filter.verdict === undefined || filter.verdict === 'waiting'
  const unjudged = waiting ? await store.howMany({ ...withText, verdict: 'waiting' }) : 0
  const consequence =
    unjudged === 0
      ? ''
      : ` ${count(unjudged, 'of them is', 'of them are')} not judged yet and will have the verdict error.`
  process.stderr.write(
    `The texts of ${count(erasing, 'sample')}: conversation, answer, what the judge wrote.${consequence} Ids, hashes, scores and verdicts stay, and stay counted.\n`,
  )
  if (options.dryRun) return void process.stderr.write('Nothing was erased (--dry-run).\n')
  if (!options.yes && !(await agreed())) return void process.stderr.write('Nothing was erased.\n')
  // A filter for a verdict leaves out those that wait, and a sample judged meanwhile.
  const erased = await store.erase(withText, waiting)
  process.stderr.write(`The texts of ${count(erased, 'sample')} were erased.\n`)
}

/** @throws UsageError where nobody can be asked. */
async function agreed(): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new UsageError(
      'There is no terminal to ask at: say --yes, or --dry-run to see what would be erased.',
    )
  const { askKey } = await import('./ask.ts')
  return (await askKey('Erase them? (y/n)', ['y', 'n'], { output: process.stderr })) === 'y'
}

interface RetryOptions extends SharedOptions {
  readonly all: boolean
}

function retryCommand(): Command {
  return addFilters(
    subcommand(
      'retry',
      'Have those judged again whose verdict is error. That verdict is taken back and counted no more.',
      'retry --experiment birds --since 2d',
    ),
  )
    .argument('[ids...]', "requests' ids")
    .option('--all', 'every one', false)
    .action((ids: string[], options: RetryOptions) =>
      withFilledStore(openConfig(options.config), async (store) => {
        const filter = meant(ids, options)
        if (filter.verdict !== undefined && filter.verdict !== 'error')
          throw new UsageError(
            "Only samples with the verdict error are judged again: other verdicts are the judge's word.",
          )
        await nameMissing(store, ids)
        const again = await store.rejudge(filter)
        if (again === 0) nothingFound('No sample with a text and the verdict error is like that.')
        else process.stderr.write(`${count(again, 'sample waits', 'samples wait')} to be judged again.\n`)
      }),
    )
}

/** @throws UsageError where neither ids nor a filter is given: everything is hardly meant. */
function meant(ids: readonly string[], options: FilterOptions & { readonly all: boolean }): SampleFilter {
  const filter = filterOf(options, ids)
  const narrowed = Object.keys(filter).length > 0
  if (!narrowed && !options.all)
    throw new UsageError('Say which samples: ids, filters such as --before 90d, or --all.')
  if (narrowed && options.all) throw new UsageError('Say --all, or which samples; not both.')
  return filter
}

async function nameMissing(store: OpenStore, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    if ((await store.howMany({ ids: [id] })) === 0)
      process.stderr.write(`There is no sample ${printable(id)}.\n`)
  }
}

function nothingFound(message = 'No sample is like that.'): void {
  process.stderr.write(`${message}\n`)
  process.exitCode = NOTHING_FOUND
}
