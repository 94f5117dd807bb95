/**
 * Puts a vector of the reference data in ../shared into the words of `test/vectors/stats.json`, so that the tests can
 * hold the two against each other. Called by the tests of the vectors.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { shared } from '../support/requires.ts'
import { interleave, type VectorCase } from './vector-methods.ts'

const schema = z.object({
  id: z.string(),
  method: z.string(),
  inputs: z.record(z.string(), z.unknown()),
  outputs: z.record(z.string(), z.unknown()),
  tolerance: z.number(),
  tolerance_kind: z.enum(['abs<=tol*max(1,|ref|)', 'relative']),
})
export type SharedVector = z.infer<typeof schema>
type Fields = Readonly<Record<string, unknown>>

export function readSharedVectors(): SharedVector[] {
  const text = readFileSync(shared.path('stats', 'vectors.json'), 'utf8')
  return z.object({ vectors: z.array(schema) }).parse(JSON.parse(text)).vectors
}

const together = (names: readonly string[]) => (from: Fields) => names.map((name) => from[name])
const of = together(['k', 'n'])
const control = together(['kA', 'nA'])
const treatment = together(['kB', 'nB'])
const prior = together(['a', 'b'])

/** A name to copy from, or how to make the value; undefined leaves it out. */
type Field = string | ((from: Fields) => unknown)
interface Translation {
  readonly name: string
  readonly given: Readonly<Record<string, Field>>
  readonly expected: Readonly<Record<string, Field>>
}

const interval = { lower: 'lower', upper: 'upper' }
const evidence = { logE: 'log_e', e: 'e', p: 'p' }
const rate = { given: { of, alpha: 'alpha' }, expected: interval }
const value = { value: 'value' }
const process = { control: interleaved('A', control), treatment: interleaved('B', treatment) }

/** Counts in place of the verdicts, where the rule makes the same verdicts of them. */
function interleaved(arm: 'A' | 'B', counts: (from: Fields) => unknown[]) {
  return (from: Fields) => {
    const pair = (it: unknown[]) => z.tuple([z.number(), z.number()]).parse(it)
    const tally = ([positives, total]: [number, number]) => ({ positives, total })
    const verdicts = interleave(tally(pair(control(from))), tally(pair(treatment(from))))
    const arms = verdicts.map((it) => (it.arm === 'control' ? 'A' : 'B')).join('')
    const outcomes = verdicts.map(({ positive }) => (positive ? '1' : '0')).join('')
    if (arms !== from.arms || outcomes !== from.y) throw new Error(`verdicts of ${arm} are not by the rule`)
    return counts(from)
  }
}

const TRANSLATIONS: Record<string, Translation> = {
  lgamma: { name: 'logGamma', given: { x: 'x' }, expected: value },
  incomplete_beta: { name: 'incompleteBeta', given: { x: 'x', a: 'a', b: 'b' }, expected: value },
  inverse_incomplete_beta: {
    name: 'inverseIncompleteBeta',
    given: { p: 'p', a: 'a', b: 'b' },
    expected: value,
  },
  chi2_sf: { name: 'chiSquareSurvival', given: { x: 'x', df: 'df' }, expected: value },
  normal_quantile: { name: 'normalQuantile', given: { p: 'p' }, expected: value },
  wilson: { name: 'wilsonInterval', ...rate },
  clopper_pearson: { name: 'clopperPearsonInterval', ...rate },
  jeffreys: { name: 'jeffreysInterval', ...rate },
  beta_binomial_cs: {
    name: 'betaBinomialInterval',
    given: { of, alpha: 'alpha', prior },
    expected: interval,
  },
  beta_binomial_log_e: {
    name: 'betaBinomialLogE',
    given: { of, p: 'p0', prior },
    expected: { logE: 'log_e', e: 'e' },
  },
  threshold_log_e: {
    name: 'thresholdLogE',
    given: { of, threshold: 'tau', prior },
    expected: { below: 'log_e_below', above: 'log_e_above' },
  },
  two_sample_fixed_n: {
    name: 'fixedSizeTest',
    given: { control, treatment },
    expected: {
      difference: 'diff',
      standardError: 'se_unpooled',
      z: 'z_pooled',
      pZ: 'p_z_pooled',
      pFisher: 'p_fisher',
      lower: 'newcombe_lower',
      upper: 'newcombe_upper',
    },
  },
  two_sample_ui_log_e: {
    name: 'universalInferenceLogE',
    given: { control, treatment, prior },
    expected: evidence,
  },
  positives_only_log_e: {
    name: 'positivesOnlyLogE',
    given: { positives: together(['kA', 'kB']), share: 'rhoB', prior },
    expected: evidence,
  },
  asymptotic_cs_diff: {
    name: 'asymptoticDifference',
    given: { control, treatment, alpha: 'alpha', tightestAt: 'n_star' },
    expected: { ...interval, rho: 'rho', halfWidth: 'halfwidth', logE: 'log_e', p: 'p' },
  },
  tlg_block_e_process: {
    name: 'blockEProcess',
    given: { ...process, prior, minBlock: 'min_block' },
    expected: {
      blocks: 'n_blocks',
      firstBlocks: 'first_blocks_mA_sA_mB_sB',
      better: 'log_e_better',
      worse: 'log_e_worse',
      twoSided: 'log_e_two',
      maxTwoSided: 'max_log_e_two',
      pTwoSided: 'p_anytime_two',
    },
  },
  tlg_diff_cs: {
    name: 'differenceInterval',
    given: { ...process, prior, minBlock: 'min_block', alpha: 'alpha', at: () => [-0.02, 0.01, 0.05] },
    expected: {
      ...interval,
      difference: 'diff',
      evidence: ({ log_e_at }) => {
        const pair = z.strictObject({ log_e_ge: z.number(), log_e_le: z.number() })
        const at = z.strictObject({ '-0.02': pair, '0.01': pair, '0.05': pair }).parse(log_e_at)
        return [at['-0.02'], at['0.01'], at['0.05']].map(({ log_e_ge, log_e_le }) => [log_e_ge, log_e_le])
      },
    },
  },
  diff_cs_bonferroni: {
    name: 'bonferroniDifference',
    given: { control, treatment, alpha: 'alpha', prior },
    expected: interval,
  },
  srm_chi_square: {
    name: 'sampleRatioChiSquare',
    given: { counts: 'counts', weights: 'rho' },
    expected: { chiSquare: 'chi2', df: 'df', p: 'p' },
  },
  srm_sequential_log_e: {
    name: 'sampleRatioLogE',
    given: { counts: 'counts', weights: 'rho', concentration: 'concentration' },
    expected: { logE: 'log_e', e: 'e', p: 'p_single_look' },
  },
  rogan_gladen_lang_reiczigel: {
    name: 'trueRate',
    given: {
      of,
      sensitivity: together(['sensitivity', 'n_sens']),
      specificity: together(['specificity', 'n_spec']),
      alpha: 'alpha',
    },
    expected: {
      estimateRaw: 'estimate_raw',
      estimate: 'estimate',
      known: together(['wilson_known_lower', 'wilson_known_upper']),
      centre: 'lr_P_adj',
      shift: 'lr_dP',
      standardError: 'lr_se',
      intervalRaw: together(['lr_lower_raw', 'lr_upper_raw']),
      interval: together(['lr_lower', 'lr_upper']),
    },
  },
  ppi_mean: {
    name: 'predictionPoweredMean',
    given: {
      labels: 'Y',
      judged: 'F',
      others: 'F_unlabelled',
      alpha: 'alpha',
      trust: ({ mode }) => ({ ppi: 1, classical: 0 })[String(mode)],
    },
    expected: { ...interval, trust: 'lambda_', estimate: 'estimate', standardError: 'se' },
  },
  hajek: {
    name: 'hajek',
    given: { values: 'y', probabilities: 'pi', alpha: 'alpha' },
    expected: {
      estimate: 'estimate',
      standardErrorHc0: 'se_hc0',
      standardError: 'se_hc1',
      standardErrorDesign: 'se_design_poisson',
      lower: 'lower_hc1',
      upper: 'upper_hc1',
      effectiveAnswers: 'n_eff',
      population: 'N_hat',
    },
  },
  horvitz_thompson: {
    name: 'horvitzThompson',
    given: { values: 'y', probabilities: 'pi', population: 'N' },
    expected: { estimate: 'estimate', standardError: 'se_poisson' },
  },
  cluster_robust_rate: {
    name: 'clusterRobustRate',
    given: { totals: 'm', positives: 's', alpha: 'alpha' },
    expected: {
      ...interval,
      estimate: 'estimate',
      standardErrorCr0: 'se_cr0',
      standardError: 'se_cr1',
      standardErrorIndependent: 'se_iid',
      designEffect: 'design_effect',
    },
  },
  holm: { name: 'holm', given: { p: 'p' }, expected: { adjusted: 'adjusted' } },
  benjamini_hochberg: { name: 'benjaminiHochberg', given: { p: 'p' }, expected: { adjusted: 'adjusted' } },
  e_bh: {
    name: 'eBenjaminiHochberg',
    given: { e: 'e', alpha: 'alpha' },
    expected: { rejections: 'k', rejected: 'rejected' },
  },
  sample_size_two_proportions: {
    name: 'sampleSize',
    given: { rates: together(['p1', 'p2']), power: 'power', alpha: 'alpha' },
    expected: {
      pooled: 'n_pooled',
      unpooled: 'n_unpooled',
      arcsine: 'n_arcsine',
      fleiss: 'n_fleiss_cc',
      roundedUp: together(['n_pooled_ceil', 'n_unpooled_ceil', 'n_arcsine_ceil', 'n_fleiss_cc_ceil']),
    },
  },
  prob_b_greater_a: {
    name: 'chanceTreatmentHigher',
    given: { control: together(['aA', 'bA']), treatment: together(['aB', 'bB']) },
    expected: { chance: 'prob' },
  },
  prpl_empirical_bernstein_cs: {
    name: 'scoreMean',
    given: { scores: 'x', alpha: 'alpha', truncation: 'truncation' },
    expected: { ...interval, count: 'n', mean: 'mean', at50: together(['lower_at_50', 'upper_at_50']) },
  },
}

/** @throws for a method without translation, verdicts that do not follow the rule, and outputs that would get lost. */
export function translate(vector: SharedVector): { method: string; case: VectorCase } {
  const translation = TRANSLATIONS[vector.method]
  if (translation === undefined) throw new Error(`no translation of ${vector.method}`)
  const fill = (fields: Translation['given'], from: Fields) =>
    Object.fromEntries(
      Object.entries(fields)
        .map(([name, field]) => [name, typeof field === 'string' ? from[field] : field(from)] as const)
        .filter(([, it]) => it !== undefined),
    )
  const expected = fill(translation.expected, vector.outputs)
  const leaves = (it: unknown): unknown[] =>
    typeof it === 'object' && it !== null ? Object.values(it).flatMap(leaves) : [it]
  const [before, after] = [vector.outputs, expected].map((it) => leaves(it).map(String).sort().join())
  if (before !== after) throw new Error(`an output of ${vector.id} gets lost`)
  return {
    method: translation.name,
    case: { id: vector.id, given: fill(translation.given, vector.inputs), expected },
  }
}
