/** `ballast eval --questions`: asks models, has their answers judged, and counts. */
import type { Policy } from '../domain/policy.ts'
import { summarize } from '../eval/summary.ts'
import { askPlan } from './asking.ts'
import { type Catalog, familyOf, findPolicy, openCatalog } from './catalog.ts'
import type { EvalOptions } from './eval-options.ts'
import { printReport, writeReports, writeRows } from './eval-output.ts'
import { planAsked } from './eval-plan.ts'
import { fromHere, UsageError } from './usage.ts'

const FAILED = 1
export const DEFAULT_FOLDER = './evaluation'

export async function evaluateLive(
  options: EvalOptions,
  files: readonly string[],
  models: readonly string[],
): Promise<void> {
  const catalog = openCatalog(options)
  const plan = planAsked(options, catalog, { files, models, contexts: contextsOf(catalog, options) })
  const { measures } = plan
  const folder = options.output ?? DEFAULT_FOLDER
  const asked = await askPlan(plan, folder, options)
  if (asked === null) return
  const report = summarize(asked.rows, plan.rubrics, measures)
  writeRows(fromHere(folder), asked.rows, plan.rubrics)
  await writeReports(fromHere(folder), report)
  await printReport(report, options)
  if (asked.incomplete) process.exitCode = FAILED
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
