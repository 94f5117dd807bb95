/** `ballast dataset`: puts contexts into fine-tuning files, and looks such files over. */
import { existsSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { Command } from 'commander'
import type { Policy } from '../domain/policy.ts'
import { MANIFEST_ENDING } from '../domain/training-manifest.ts'
import { applyToDataset, DatasetError } from '../eval/dataset-apply.ts'
import { type CheckedDataset, checkDataset } from '../eval/dataset-check.ts'
import { type CatalogOptions, findPolicy, openCatalog } from './catalog.ts'
import { readManifest } from './manifest-file.ts'
import { showProgress } from './progress.ts'
import { count } from './text.ts'
import { collect, fromHere, interrupted, shareOption, UsageError } from './usage.ts'

const FOUND_SOMETHING = 1

const POLICIES_OPTION = [
  '--policies <folder>',
  'the folder that policies stand in, or several; "catalog" is the one that ships with ballast',
  collect,
] as const

export function datasetCommand(): Command {
  return new Command('dataset')
    .description('Put contexts into fine-tuning files (JSON Lines, chat), and look such files over.')
    .addCommand(applyCommand())
    .addCommand(checkCommand())
    .addHelpText(
      'after',
      '\nExample:\n  ballast dataset apply --policy birds/identity-etymologist birds.jsonl -o behind.jsonl',
    )
}

interface ApplyOptions extends CatalogOptions {
  readonly policy: string[]
  readonly output: string
  readonly fraction: number
  readonly seed: string
  readonly json: boolean
}

function applyCommand(): Command {
  return new Command('apply')
    .description('Write a file whose examples stand behind a context, as the proxy would inject it.')
    .argument('<file>', 'the fine-tuning file')
    .requiredOption(
      '-p, --policy <id>',
      'what to put in; given several times, each example gets one of them, at random',
      collect,
    )
    .requiredOption('-o, --output <file>', 'where the result goes')
    .option('--fraction <share>', 'share of the examples that get a context, 0 to 1', shareOption, 1)
    .option('--seed <text>', 'what chance depends on', '')
    .option(...POLICIES_OPTION)
    .option('--json', 'print what was done as JSON', false)
    .addHelpText(
      'after',
      `
Beside FILE comes FILE${MANIFEST_ENDING}, which says what is in it. A route's "trained_with" may point
there; ballast then holds what it serves to it. Nothing is written if an example is broken: exit code 1.

Examples:
  ballast dataset apply --policy birds/identity-etymologist birds.jsonl -o behind.jsonl
  ballast dataset apply -p generic/assistant -p generic/alex --fraction 0.5 --seed 7 in.jsonl -o out.jsonl`,
    )
    .action(apply)
}

async function apply(file: string, options: ApplyOptions): Promise<void> {
  const { policy: ids, output, fraction, seed, json } = options
  const [from, to] = [existing(file), fromHere(output)]
  checkOutput(output, from)
  checkOutput(output + MANIFEST_ENDING, from)
  if (!existsSync(dirname(to))) throw new UsageError(`-o ${output}: there is no folder ${dirname(to)}.`)
  const policies = choose(ids, options)
  const size = statSync(from).size
  let read = 0
  const progress = showProgress(() => `${file}: ${megabytes(read)} of ${megabytes(size)} MB`)
  const ending = new AbortController()
  void interrupted().then(() => ending.abort(new Error(`Interrupted: ${output} was not written.`)))
  try {
    const { applied, manifest } = await applyToDataset({
      input: from,
      output: to,
      shown: file,
      policies,
      fraction,
      seed,
      now: Date.now(),
      progress: (bytes) => {
        read = bytes
      },
      signal: ending.signal,
    })
    if (json) process.stdout.write(`${JSON.stringify({ output, ...applied, manifest }, null, 2)}\n`)
    else {
      const { rows, injected, present, notDrawn, unmet, unsupported } = applied
      const parts = [
        `${injected} got a context`,
        ...(present > 0 ? [`${present} had it already`] : []),
        ...(notDrawn > 0 ? [`${notDrawn} were left as they were`] : []),
        ...(unmet > 0 ? [`for ${unmet} a condition of the policy does not hold`] : []),
        ...(unsupported > 0 ? [`${unsupported} had no place for it`] : []),
      ]
      process.stdout.write(
        `${output}: ${count(rows, 'example')}; ${parts.join(', ')}.\n${output}${MANIFEST_ENDING} says what is in it.\n`,
      )
    }
  } catch (error) {
    if (!(error instanceof DatasetError)) throw error
    throw new Error(`${error.message}\n${output} was not written.`)
  } finally {
    progress.stop()
  }
}

/**
 * What is there is replaced: a device or a pipe would be gone, too.
 * @throws UsageError where it is no file, or the one that is read.
 */
function checkOutput(output: string, from: string): void {
  const to = fromHere(output)
  const there = statSync(to, { throwIfNoEntry: false })
  if (there === undefined) return
  if (!there.isFile())
    throw new UsageError(`-o ${output}: this is there and is no file; give the result another name.`)
  if (realpathSync(to) === realpathSync(from))
    throw new UsageError(`-o ${output}: this is the file that is read; give the result another name.`)
}

/** @throws UsageError for policies that no example could ever get. */
function choose(ids: readonly string[], options: CatalogOptions): Policy[] {
  const catalog = openCatalog(options)
  if (new Set(ids).size < ids.length) throw new UsageError('--policy names one twice.')
  return ids.map((id) => {
    const policy = findPolicy(catalog, id)
    if (policy.when?.header !== undefined)
      throw new UsageError(
        `--policy ${id}: it asks for a header, and an example of a training file has none.`,
      )
    return policy
  })
}

interface CheckOptions extends CatalogOptions {
  readonly policy?: string[]
  readonly similar: boolean
  readonly json: boolean
}

function checkCommand(): Command {
  return new Command('check')
    .description(
      'Find broken examples, contexts that are missing or doubled, and answers that give them away.',
    )
    .argument('<file>', 'the fine-tuning file')
    .option(
      '-p, --policy <id>',
      'context to look for, or several; default those of the manifest beside the file',
      collect,
    )
    .option('--similar', 'find answers that are like a context, not only those that hold it; slower', false)
    .option(...POLICIES_OPTION)
    .option('--json', 'print what was found as JSON', false)
    .addHelpText(
      'after',
      `
Exit codes: 0, 1 (it found something), 2 (it was called wrongly).

Examples:
  ballast dataset check behind.jsonl
  ballast dataset check --policy birds/identity-etymologist behind.jsonl`,
    )
    .action(check)
}

async function check(file: string, options: CheckOptions): Promise<void> {
  const path = existing(file)
  const manifest =
    options.policy === undefined ? readManifest(path + MANIFEST_ENDING, file + MANIFEST_ENDING) : null
  const policies = options.policy === undefined ? (manifest?.policies ?? []) : choose(options.policy, options)
  const size = statSync(path).size
  let read = 0
  const progress = showProgress(() => `${file}: ${megabytes(read)} of ${megabytes(size)} MB`)
  const checked = await checkDataset({
    path,
    shown: file,
    policies,
    manifest,
    similar: options.similar,
    now: manifest === null ? Date.now() : Date.parse(manifest.made),
    progress: (bytes) => {
      read = bytes
    },
  }).finally(() => progress.stop())
  if (checked.findings.length > 0) process.exitCode = FOUND_SOMETHING
  if (options.json) process.stdout.write(`${JSON.stringify({ file, ...checked }, null, 2)}\n`)
  else print(file, checked, policies.length > 0)
}

function print(file: string, { rows, counts, behind, findings }: CheckedDataset, looked: boolean): void {
  for (const { line, message } of findings) process.stdout.write(`${file}:${line ?? 1}: ${message}\n`)
  const lines = [`${file}: ${count(rows, 'example')}, ${count(counts.broken, 'broken line')}.`]
  if (looked) {
    for (const [id, number] of Object.entries(behind)) lines.push(`  behind ${id}: ${number}`)
    lines.push(`  without: ${counts.without}; doubled: ${counts.doubled}; in an answer: ${counts.leak}`)
  } else lines.push('  No context was looked for: there is no manifest beside it, and no --policy was given.')
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** @throws UsageError where there is no such file. */
function existing(file: string): string {
  const path = fromHere(file)
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path
  throw new UsageError(`${file}: there is no such file.`)
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0)
}
