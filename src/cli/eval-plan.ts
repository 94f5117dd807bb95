/** What is to be asked, by the options that `eval` and `probe` share. */
import { type EvalPlan, PlanError, type PlanOptions, planEvaluation } from '../eval/plan.ts'
import { type Catalog, findCheck } from './catalog.ts'
import { extraMeasures } from './eval-from.ts'
import type { EvalOptions } from './eval-options.ts'
import { readQuestions, selectQuestions } from './questions-file.ts'
import { UsageError } from './usage.ts'

export interface ToAsk {
  /** Of questions. */
  readonly files: readonly string[]
  readonly models: readonly string[]
  readonly contexts: PlanOptions['contexts']
}

/** Prints what it wonders about in the files. @throws UsageError where nothing can be asked that way. */
export function planAsked(
  options: EvalOptions,
  catalog: Catalog,
  { files, models, contexts }: ToAsk,
): EvalPlan {
  const { groups, warnings } = readQuestions(files)
  for (const warning of warnings) process.stderr.write(`${warning}\n`)
  try {
    const plan = planEvaluation({
      groups: selectQuestions(groups, options.group, options.judge),
      models: [...new Set(models)],
      contexts,
      samples: options.samples ?? null,
      seed: options.seed ?? null,
      check: options.check === undefined ? null : findCheck(catalog, options.check),
      judgeModel: options.judgeModel ?? null,
      now: Date.now(),
    })
    return { ...plan, measures: [...plan.measures, ...extraMeasures(options, plan.rubrics)] }
  } catch (error) {
    throw error instanceof PlanError ? new UsageError(error.message) : error
  }
}
