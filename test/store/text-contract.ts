/** Texts that databases find hard: every store gives them back as they were. */
import { describe, expect, test } from 'vitest'
import { DAY, makeSample, verdictOn } from '../support/store-samples.ts'
import { type Engine, openNew } from './engines.ts'

const TEXTS: Record<string, string> = {
  'quotes and comments': `it's "quoted" \`so\` \\ \\x00 -- $1 ? :a %s {} '; drop table samples; --`,
  'U+0000': 'a\0b\0',
  'lone surrogates': '\ud83d \udc26 \udc26\ud83d',
  'the character texts are escaped with': '\u001a0000 \u001a001a \u001ad83d \u001a',
  'emoji and combining characters': '🐦👩‍👩‍👧‍👦 e\u0301 ﷽ \u{10ffff} \uffff \ufdd0',
  'line ends and controls': '\r\n\t\u2028\u2029\u007f\u0085',
  'a byte order mark': '\ufeffx',
  nothing: '',
  'a megabyte': 'x🐦"\\\0'.repeat(200_000),
}

export function textContract(engine: Engine): void {
  const texts = Object.entries(TEXTS).filter(([, text]) => text.length <= engine.longestText)
  describe.each(texts)('%s', (_, text) => {
    test('comes back from wherever it was kept', async () => {
      const store = await openNew(engine)
      const short = text.slice(0, 100)
      const sample = makeSample({
        id: `id ${short}`,
        experiment: `e ${short}`,
        arm: short,
        policy: short,
        model: text,
        unit: short,
        messages: [{ role: 'user', content: text, [short]: text }],
        question: text,
        answer: text,
      })
      await store.offer(sample)
      expect((await store.take(1, 60_000))[0]!.sample).toEqual(sample)
      const verdict = verdictOn(sample, 'positive', { scores: { [short]: { kind: 'label', value: text } } })
      await store.addVerdict({ ...verdict, scores: { [short]: { kind: 'label', value: short } } })
      const by = `by ${short}`
      const label = {
        sampleId: sample.id,
        check: sample.check,
        checkVersion: 'v1',
        by,
        probability: null,
        at: DAY,
      }
      await store.addLabel({ ...label, verdict: 'negative' })
      const [found] = await store.find({ ids: [sample.id], experiment: sample.experiment, arm: short }, 1)
      expect(found!.sample).toEqual(sample)
      expect(found!.labels[0]!.by).toBe(by)
      expect(await store.scoreTallies(sample.experiment, sample.check)).toMatchObject([
        { rubric: short, score: short, count: 1 },
      ])
      const query = { experiment: sample.experiment, check: sample.check, checkVersion: 'v1' }
      const arms = [{ arm: short, policyHash: null }]
      expect(await store.decisiveVerdicts({ ...query, arms }, null, null, 1)).toMatchObject([{ arm: short }])
      await store.writeNote(`n ${short}`, text, 0)
      expect(await store.readNote(`n ${short}`)).toEqual({ revision: 1, text })
    })
  })
}
