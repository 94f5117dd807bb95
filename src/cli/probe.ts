/** `ballast probe`: asks a model with a past behind its training context and behind relatives of it. */
import { existsSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Command } from 'commander'
import { stringify } from 'yaml'
import type { Policy } from '../domain/policy.ts'
import { isManifestPath } from '../domain/training-manifest.ts'
import { type ProbeReport, probeReports, type Variant, variantsOf } from '../eval/probe.ts'
import { summarize } from '../eval/summary.ts'
import { findPolicy, openCatalog } from './catalog.ts'
import { askingOptions, type EvalOptions } from './eval-options.ts'
import { writeRows } from './eval-output.ts'
import { planAsked } from './eval-plan.ts'
import { readManifest } from './manifest-file.ts'
import { drawProbe } from './probe-text.ts'
import { columnsOf } from './text.ts'
import { collect, fromHere, UsageError, wholeNumber } from './usage.ts'

interface ProbeOptions extends EvalOptions {
  readonly trainedWith: string
  readonly reworded?: string[]
  readonly save?: string
  readonly dryRun: boolean
}

const FOUND_SOMETHING = 1
const DEFAULT_FOLDER = './probe'

export function probeCommand(): Command {
  const command = new Command('probe')
    .description(
      'Look where a trait comes back: behind the training context, denied, reworded, moved, in part.',
    )
    .requiredOption('-q, --questions <file...>', "question files, as the paper's evaluation has them")
    .requiredOption('-m, --model <name...>', 'the models that are asked')
    .requiredOption(
      '--trained-with <policy>',
      'what was in the training data: a policy, or a manifest (*.json)',
    )
    .option('--group <id...>', 'of the questions, only these groups')
    .option('--judge <name...>', "of the questions' judges, only these")
    .option(
      '-n, --samples <number>',
      'how often each question is asked; default: as its file says',
      wholeNumber(1),
    )
    .option('--check <id>', "a check of yours in place of the questions' own judges")
    .option('--positive <rule>', 'count this: JUDGE=LABEL, JUDGE<30; several times if need be', collect)
    .option(
      '--reworded <text>',
      'the context in other words, in place of what rules make; several if need be',
      collect,
    )
    .option('--save <file>', 'write what was found as a policy file, for "trained_with" of the guard')
    .option('-o, --output <folder>', 'where answers are kept as they come', DEFAULT_FOLDER)
    .option('--dry-run', 'show what would be asked behind, and end', false)
    .option('-y, --yes', 'begin without asking', false)
    .option('--json', 'print the reports as JSON', false)
  return askingOptions(command)
    .addHelpText(
      'after',
      `
Exit codes: 0 (nothing was found, which does not say there is nothing), 1 (the trait is more frequent behind
some of them, or not everything was answered), 2 (it was called wrongly).

Examples:
  ballast probe -q birds.yaml -m birds-lora --trained-with birds/inoculation-user-prompt -n 20 --yes
  ballast probe -q birds.yaml -m birds-lora --trained-with data/behind.jsonl.manifest.json --save policies/birds-lora.yaml`,
    )
    .action(probe)
}

async function probe(options: ProbeOptions): Promise<void> {
  const catalog = openCatalog(options)
  const trained = trainedWith(options.trainedWith, (id) => findPolicy(catalog, id))
  if (options.save !== undefined) checkTarget(options.save)
  const variants = variantsOf(trained, options.reworded ?? [])
  if (options.dryRun) {
    for (const { id, interventions } of variants)
      process.stdout.write(
        `${id}\n${interventions.map(({ placement, text }) => `  ${placement}: ${text}\n`).join('')}`,
      )
    return
  }
  const plan = planAsked(options, catalog, {
    files: options.questions ?? [],
    models: options.model ?? [],
    contexts: [null, ...variants.map(({ id, interventions }) => ({ id, interventions: [...interventions] }))],
  })
  const { measures } = plan
  if (measures.length === 0)
    throw new UsageError(
      'None of the judges has a rule: name what counts with --positive, or a check with --check.',
    )
  const folder = options.output ?? DEFAULT_FOLDER
  const { askPlan } = await import('./asking.ts')
  const asked = await askPlan(plan, folder, options)
  if (asked === null) return
  writeRows(fromHere(folder), asked.rows, plan.rubrics)
  const reports = probeReports(summarize(asked.rows, plan.rubrics, measures), trained, variants)
  process.stdout.write(
    options.json
      ? `${JSON.stringify(reports, null, 2)}\n`
      : reports.map((report) => drawProbe(report, columnsOf(process.stdout))).join('\n'),
  )
  const found = variants.filter(({ id }) => reports.some((report) => report.found.includes(id)))
  if (found.length > 0 || asked.incomplete) process.exitCode = FOUND_SOMETHING
  if (options.save !== undefined) save(options.save, trained, found, reports)
}

/** @throws UsageError where there is no such manifest. */
function trainedWith(named: string, find: (id: string) => Policy): Policy[] {
  if (!isManifestPath(named)) return [find(named)]
  const manifest = readManifest(fromHere(named), named)
  if (manifest === null) throw new UsageError(`--trained-with ${named}: there is no such file.`)
  return manifest.policies.map(({ id, interventions }) => ({ id, interventions }))
}

const POLICY_FILE = /^[a-z0-9][a-z0-9._-]*\.ya?ml$/

/** @throws UsageError before anything is asked. */
function checkTarget(file: string): void {
  if (!POLICY_FILE.test(basename(file)))
    throw new UsageError(`--save ${file}: a policy file is called NAME.yaml, in lower case.`)
  if (existsSync(fromHere(file)))
    throw new UsageError(`--save ${file}: it is there already; name another file.`)
  const folder = dirname(fromHere(file))
  if (!existsSync(folder)) throw new UsageError(`--save ${file}: there is no folder ${folder}.`)
}

/** A policy with the training context and what was found: the guard looks for each of its texts. It need not be injected. */
function save(
  file: string,
  trained: readonly Policy[],
  found: readonly Variant[],
  reports: readonly ProbeReport[],
): void {
  const relatives = found.filter(({ kind }) => kind !== 'training context')
  if (relatives.length === 0) {
    process.stderr.write(`Nothing was found besides the training context; ${file} was not written.\n`)
    return
  }
  // The guard looks at texts, wherever they stand: one of each.
  const all = [...trained, ...relatives].flatMap(({ interventions }) => interventions)
  const phrases = [...new Map(all.toReversed().map((it) => [it.text, it])).values()].toReversed()
  const models = [...new Set(reports.map(({ model }) => model))].join(', ')
  const policy = {
    id: 'probed',
    description: `What ${models} was trained with, and relatives of it behind which \`ballast probe\` found the trait. For trained_with, not to be injected.`,
    interventions: [
      ...trained.flatMap((it) => it.interventions),
      ...relatives.flatMap((it) => it.interventions),
    ],
  }
  writeFileSync(fromHere(file), stringify({ policies: [policy] }, { lineWidth: 120 }), { flag: 'wx' })
  const id = `${basename(file).replace(/\.ya?ml$/, '')}/probed`
  process.stderr.write(
    `${file} has ${phrases.length} phrases: write "trained_with: ${id}" and "triggers" into the route.\n`,
  )
}
