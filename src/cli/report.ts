/** `ballast report`: what the store of a configuration says about its experiments. */
import { writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import type { DetailedReport } from '../domain/detailed-report.ts'
import { openConfig } from './catalog.ts'
import { measuredExperiments } from './measured.ts'
import { openStoreForReading } from './open-store.ts'
import { markdownReport } from './report/report-markdown.ts'
import { drawDetailedReport } from './report/report-text.ts'
import { readDetailedReport } from './report-data.ts'
import { fromHere, UsageError } from './usage.ts'

interface ReportOptions {
  readonly config: string
  readonly format?: Format
  readonly output?: string
  readonly json: boolean
}

const FORMATS = ['text', 'markdown', 'json', 'html'] as const
type Format = (typeof FORMATS)[number]

/** By the ending of the file that is written. */
const ENDINGS: Readonly<Record<string, Format>> = {
  html: 'html',
  htm: 'html',
  md: 'markdown',
  markdown: 'markdown',
  json: 'json',
  jsonl: 'json',
}

export function reportCommand(): Command {
  return new Command('report')
    .description('Report what is known of experiments: rates, differences, and what to make of them.')
    .argument('[experiments...]', 'which; all that have a check without any')
    .option('-c, --config <file>', 'the configuration, which names the store', 'ballast.yaml')
    .addOption(
      new Option(
        '-f, --format <format>',
        'how to print it; by default as the ending of FILE says, else text',
      ).choices(FORMATS),
    )
    .option('-o, --output <file>', 'write it there')
    .option('--json', 'the same as --format json: a line an experiment', false)
    .addHelpText(
      'after',
      `
The store is only read. A route without an experiment is called "route:PATTERN".

Examples:
  ballast report
  ballast report birds --format markdown
  ballast report --output report.html
  ballast report --json`,
    )
    .action(report)
}

async function report(names: readonly string[], options: ReportOptions): Promise<void> {
  const { config: file, output } = options
  const format = formatOf(options)
  const config = openConfig(file)
  const measured = measuredExperiments(config, names)
  const store = await openStoreForReading(config)
  const reports: DetailedReport[] = []
  try {
    for (const it of measured)
      reports.push(await readDetailedReport(store, it, config.decisions.wait, Date.now()))
  } finally {
    await store.close()
  }
  const text = await render(reports, format)
  if (output === undefined) {
    process.stdout.write(text)
    return
  }
  try {
    writeFileSync(fromHere(output), text)
  } catch (error) {
    throw new Error(`${output} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
  process.stderr.write(`${output} is written.\n`)
}

function formatOf({ json, format, output }: ReportOptions): Format {
  if (json && format !== undefined && format !== 'json')
    throw new UsageError(`--json and --format ${format} contradict each other.`)
  if (json) return 'json'
  const ending = /\.([a-z]+)$/i.exec(output ?? '')?.[1]?.toLowerCase() ?? ''
  return format ?? ENDINGS[ending] ?? 'text'
}

async function render(reports: readonly DetailedReport[], format: Format): Promise<string> {
  switch (format) {
    case 'json':
      return reports.map((it) => `${JSON.stringify(it)}\n`).join('')
    case 'markdown':
      return reports.map(markdownReport).join('\n')
    case 'html': {
      // The libraries that draw are large, and nothing else needs them.
      const { htmlReport } = await import('./report/report-html.ts')
      return htmlReport(reports)
    }
    case 'text':
      return reports.map((it) => drawDetailedReport(it)).join('\n')
  }
}
