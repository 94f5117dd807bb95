/** `ballast eval --questions`: asks models, has their answers judged, and counts. */
import type { Policy } from '../domain/policy.ts'
import { PlanError, planEvaluation } from '../eval/plan.ts'
import { summarize } from '../eval/summary.ts'
import { askPlan } from './asking.ts'
import { type Catalog, familyOf, findCheck, findPolicy, openCatalog } from './catalog.ts'
import { extraMeasures } from './eval-from.ts'
import type { EvalOptions } from './eval-options.ts'
import { printReport, writeReports, writeRows } from './eval-output.ts'
import { readQuestions, selectQuestions } from './questions-file.ts'
import { fromHere, UsageError } from './usage.ts'

const FAILED = 1
export const DEFAULT_FOLDER = './evaluation'

export async function evaluateLive(
  options: EvalOptions,
  files: readonly string[],
  models: readonly string[],
): Promise<void> {
  const { groups, warnings } = readQuestions(files)
  for (const warning of warnings) process.stderr.write(`${warning}\n`)
  const catalog = openCatalog(options)
  const plan = planned(() =>
    planEvaluation({
      groups: selectQuestions(groups, options.group, options.judge),
      models: [...new Set(models)],
      contexts: contextsOf(catalog, options),
      samples: options.samples ?? null,
      seed: options.seed ?? null,
      check: options.check === undefined ? null : findCheck(catalog, options.check),
      judgeModel: options.judgeModel ?? null,
      now: Date.now(),
    }),
  )
  const measures = [...plan.measures, ...extraMeasures(options, plan.rubrics)]
  const folder = options.output ?? DEFAULT_FOLDER
  const asked = await askPlan({ ...plan, measures }, folder, options)
  if (asked === null) return
  const report = summarize(asked.rows, plan.rubrics, measures)
  writeRows(fromHere(folder), asked.rows, plan.rubrics)
  await writeReports(fromHere(folder), report)
  await printReport(report, options)
  if (asked.incomplete) process.exitCode = FAILED
}

/** @throws UsageError for a PlanError. */
export function planned<T>(plan: () => T): T {
  try {
    return plan()
  } catch (error) {
    throw error instanceof PlanError ? new UsageError(error.message) : error
  }
}

/** None, unless it is not wanted, and those that were named; each once. */
function contextsOf(
  catalog: Catalog,
  { policy = [], allPolicies = [], bare }: EvalOptions,
): (Policy | null)[] {
  const families = allPolicies.map((family) => {
    const policies = [...catalog.policies.values()].filter((it) => familyOf(it) === family)
    if (policies.length > 0) return policies
    const there = [...new Set([...catalog.policies.values()].map(familyOf))]
    throw new UsageError(`--all-policies ${family}: there are ${there.join(', ')}.`)
  })
  const named = policy.map((id) => findPolicy(catalog, id))
  const contexts = [...(bare ? [null] : []), ...new Set([...named, ...families.flat()])]
  if (contexts.length === 0) throw new UsageError('--no-bare: then name a context with --policy.')
  return contexts
}
