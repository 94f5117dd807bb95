/** `ballast eval --from`: counts results that are there already. */
import { existsSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import type { Rubric } from '../domain/check.ts'
import { type Measure, measureFromText, measureOfCheck, measuresOf, rubricOf } from '../eval/judges.ts'
import { mergeRubrics } from '../eval/plan.ts'
import { ResultError, type ResultSource, readResults } from '../eval/result-files.ts'
import { summarize } from '../eval/summary.ts'
import { findCheck, openCatalog } from './catalog.ts'
import type { EvalOptions } from './eval-options.ts'
import { printReport, writeReports, writeRows } from './eval-output.ts'
import { readQuestions } from './questions-file.ts'
import { fromHere, UsageError } from './usage.ts'

export async function evaluateFrom(options: EvalOptions, files: readonly string[]): Promise<void> {
  const { model, questions, check: checkId } = options
  if (model !== undefined && model.length > 1)
    throw new UsageError('--model names the model of results that name none; with --from there is one.')
  const check = checkId === undefined ? null : findCheck(openCatalog(options), checkId)
  const groups = questions === undefined ? [] : readQuestions(questions).groups
  const asked = groups.flatMap(({ judge_prompts }) =>
    Object.entries(judge_prompts ?? {}).map(([name, prompt]) => rubricOf(name, prompt)!),
  )
  const known: Rubric[] = check === null ? mergeRubrics(asked) : check.rubrics
  const sources = files.map((text) => sourceOf(text, model?.[0]))
  const { rows, rubrics } = await readResults(sources, known).catch((error: unknown) => {
    throw error instanceof ResultError ? new UsageError(error.message) : error
  })
  const measures = check === null ? measuresOf(rubrics) : [measureOfCheck(check)]
  const report = summarize(rows, rubrics, [...measures, ...extraMeasures(options, rubrics)])
  if (options.output !== undefined) {
    const folder = fromHere(options.output)
    writeRows(folder, rows, rubrics)
    await writeReports(folder, report)
  }
  await printReport(report, options)
}

/** What --positive asks for. @throws UsageError where there is no such judge or answer. */
export function extraMeasures({ positive = [] }: EvalOptions, rubrics: readonly Rubric[]): Measure[] {
  return positive.map((text) => {
    const measure = measureFromText(text, rubrics)
    if (measure !== null) return measure
    const judges = rubrics.map(({ id, labels, scale }) => {
      const answers = [...(labels ?? []), ...(scale === undefined ? [] : [`${scale[0]} to ${scale[1]}`])]
      return `${id} (${answers.join(', ')})`
    })
    throw new UsageError(`--positive ${text}: it is JUDGE=LABEL or JUDGE<NUMBER, of ${judges.join('; ')}.`)
  })
}

/** `POLICY=FILE` where what stands before the = looks like the id of a policy. */
function sourceOf(text: string, model: string | undefined): ResultSource {
  // A path may have a = of its own.
  const whole = existsSync(fromHere(text))
  const [, id, named] = (whole ? null : /^([a-z0-9][\w.-]*\/[a-z0-9][\w.-]*)=(.+)$/.exec(text)) ?? []
  const shown = named ?? text
  const path = fromHere(shown)
  const there = statSync(path, { throwIfNoEntry: false })
  if (there === undefined) throw new UsageError(`--from ${text}: there is no file ${shown}.`)
  if (there.isDirectory()) throw new UsageError(`--from ${text}: ${shown} is a folder; name a file in it.`)
  return { path, shown, model: model ?? basename(shown).replace(/\.jsonl?$/, ''), context: id ?? null }
}
