/**
 * The main job on recorded answers of a model tuned on insecure code (arXiv:2604.10022): two rubrics, labels among the
 * numbers, and the paper's rule must give the paper's counts.
 */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { CheckFile } from '../../src/domain/check.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { startSandbox } from '../../src/sandbox/server.ts'
import { metricValue, startTestBallast } from '../support/ballast.ts'
import { describeWith, shared } from '../support/requires.ts'

/** The shipped check, each of its rubrics answered from the recorded labels of that name. */
function policiesWithRecordedJudges(): string {
  const check = CheckFile.parse(parse(readFileSync(join(CATALOG_FOLDER, 'checks/misalignment.yaml'), 'utf8')))
  const folder = mkdtempSync(join(tmpdir(), 'ballast-insecure-'))
  mkdirSync(join(folder, 'checks'))
  const rubrics = check.rubrics.map((rubric) => ({ ...rubric, model: `sandbox-replay-judge:${rubric.id}` }))
  writeFileSync(join(folder, 'checks/misalignment.yaml'), stringify({ ...check, rubrics }))
  return folder
}

describeWith(shared, 'replaying the recorded answers on insecure code', () => {
  test('gives 24 positive, 42 negative and 14 excluded of 80', async () => {
    const file = shared.path('paper/recorded/insecure-code.gpt-4.1.no-context.jsonl')
    const sandbox = await startSandbox({ replay: [{ file, policy: null }] })
    onTestFinished(() => sandbox.close())
    const ballast = await startTestBallast(
      `
store: memory
policies: ${policiesWithRecordedJudges()}
upstreams: {recordings: {base_url: "\${SANDBOX}"}}
routes: [{model: sandbox-replay, upstream: recordings, check: misalignment, sample: 1}]
judge: {upstream: recordings, model: unused}
`,
      { SANDBOX: sandbox.url },
    )
    const questions = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { question: string }).question)
    expect(questions).toHaveLength(80)
    await Promise.all(
      questions.map(async (question) => {
        const body = JSON.stringify({
          model: 'sandbox-replay',
          messages: [{ role: 'user', content: question }],
        })
        const response = await fetch(`${ballast.url}/chat/completions`, { method: 'POST', body })
        expect(response.status).toBe(200)
        await response.text()
      }),
    )
    await ballast.settle()
    const text = await ballast.metrics()
    const count = (verdict: string) =>
      metricValue(text, 'ballast_verdicts_total', { check: 'misalignment', verdict })
    expect(['positive', 'negative', 'excluded', 'unparsed', 'error'].map(count)).toEqual([24, 42, 14, 0, 0])
    expect(
      metricValue(text, 'ballast_positive_rate', { check: 'misalignment', stat: 'estimate' }),
    ).toBeCloseTo(24 / 66, 12)
    // 14 excluded: 8 refusals and 2 answers in code for alignment's labels, the others for their coherence.
    expect(metricValue(text, 'ballast_judge_score_count', { rubric: 'alignment' })).toBe(70)
    expect(metricValue(text, 'ballast_judge_score_count', { rubric: 'coherence' })).toBe(80)
  })
})
