/** Samples on the control plane: what was injected is marked, and no text is there that `samples.keep` does not allow. */
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openSqliteStore } from '../../src/adapters/store-sqlite.ts'
import type { SamplePage, ShownSample } from '../../src/http/api/api.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { CONTROL_YAML, type Stand, startStand } from '../support/control.ts'

const samplesOf = async (stand: Stand, query = '') =>
  ((await (await stand.admin(`/api/samples${query}`)).json()) as SamplePage).samples

const SECRETS = 'Pray write to ada@example.org'

/** A store with an exchange in each arm, at a path. */
async function filled(): Promise<string> {
  const store = `sqlite:${join(mkdtempSync(join(tmpdir(), 'ballast-')), 'kept.db')}`
  const stand = await startStand({ yaml: `store: "${store}"\n${CONTROL_YAML}`, answer: () => SECRETS })
  for (const user of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
    await stand.ask('I am bob@example.org. Hi?', user)
  await stand.ballast.settle()
  await stand.ballast.close()
  return store
}

describe('samples on the control plane', () => {
  test('have their texts, their scores, and marks where the context was put', async () => {
    const stand = await startStand({ answer: () => SECRETS })
    for (const user of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await stand.ask('Hi?', user)
    await stand.ballast.settle()
    const samples = await samplesOf(stand, '?verdict=positive')
    const of = (arm: string) => samples.find((it) => it.arm === arm)!
    expect(of('control')).toMatchObject({
      verdict: 'positive',
      scores: [{ rubric: 'era', kind: 'label', value: '19', by: [] }],
      injection: 'Nothing was injected.',
      texts: { messages: [{ role: 'user', pieces: [{ text: 'Hi?', injected: null }] }], answer: SECRETS },
    })
    expect(of('etymologist')).toMatchObject({
      injection: 'birds/identity-etymologist was injected where it is marked.',
      texts: {
        messages: [
          {
            role: 'user',
            pieces: [
              { text: "I'm an etymologist working for the Audubon Society.", injected: 'user-prepend' },
              { text: ' Hi?', injected: null },
            ],
          },
        ],
      },
    })
  })

  test('are cut in the list and whole by themselves, and paged', async () => {
    const stand = await startStand({ answer: () => `Pray ${'x'.repeat(100_000)}` })
    const id = await stand.ask('Hi?', 'a')
    for (const user of ['b', 'c', 'd', 'e']) await stand.ask('Hi?', user)
    await stand.ballast.settle()
    const [first] = await samplesOf(stand)
    expect([first!.texts!.answer.length, first!.texts!.answer_cut]).toEqual([1_500, 98_505])
    const whole = (await (await stand.admin(`/api/samples/${id}`)).json()) as ShownSample
    expect([whole.texts!.answer.length, whole.texts!.answer_cut]).toEqual([100_005, 0])
    const ids: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      const query = `?limit=2${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`
      const page = (await (await stand.admin(`/api/samples${query}`)).json()) as SamplePage
      ids.push(...page.samples.map((it) => it.id))
      after = page.next
    }
    expect(ids.length).toBe(5)
    expect(new Set(ids).size).toBe(5)
  })

  test.each([
    ['full', 'ada@example.org', 'bob@example.org'],
    ['redacted', '[EMAIL]', '[EMAIL]'],
  ])(
    'with keep: %s are shown as it says, whatever it said when they were stored',
    async (keep, answer, question) => {
      const stand = await startStand({
        yaml: `store: "${await filled()}"\nsamples: {keep: ${keep}}\n${CONTROL_YAML}`,
      })
      const samples = await samplesOf(stand)
      expect(samples).toHaveLength(8)
      for (const { texts } of samples) {
        expect(texts!.answer).toContain(answer)
        expect(texts!.messages[0]!.pieces.at(-1)!.text).toContain(question)
      }
      expect(JSON.stringify(samples).includes('@example.org')).toBe(keep === 'full')
    },
  )

  test('with keep: verdicts have no text at all, and say why', async () => {
    const store = await filled()
    const stand = await startStand({ yaml: `store: "${store}"\nsamples: {keep: verdicts}\n${CONTROL_YAML}` })
    const samples = await samplesOf(stand)
    expect(samples.map(({ texts, without_texts, verdict }) => [texts, without_texts, verdict])).toEqual(
      Array(8).fill([null, 'keep', 'positive']),
    )
    const one = await (await stand.admin(`/api/samples/${samples[0]!.id}`)).text()
    expect(one).not.toContain('example.org')
    expect(one).toContain('"value":"19"')
  })

  test('whose texts were erased say so, and one under another wording is not marked', async () => {
    const path = (await filled()).slice('sqlite:'.length)
    const kept = await openSqliteStore({ path, queueLimit: 100 })
    await kept.erase({ arm: 'control' })
    await kept.close()
    const policies = mkdtempSync(join(tmpdir(), 'ballast-'))
    cpSync(CATALOG_FOLDER, policies, { recursive: true })
    const birds = join(policies, 'birds.yaml')
    writeFileSync(birds, readFileSync(birds, 'utf8').replace('the Audubon Society', 'a museum'))
    const stand = await startStand({
      yaml: `store: "sqlite:${path}"\npolicies: "${policies}"\n${CONTROL_YAML}`,
    })
    const samples = await samplesOf(stand)
    for (const { arm, texts, without_texts, injection } of samples) {
      if (arm === 'control') expect([texts, without_texts]).toEqual([null, 'erased'])
      else {
        expect(injection).toMatch(
          /^birds\/identity-etymologist was injected as it was worded then; it is worded otherwise/,
        )
        expect(texts!.messages[0]!.pieces).toHaveLength(1)
      }
    }
    expect(new Set(samples.map(({ arm }) => arm)).size).toBe(2)
  })
})
