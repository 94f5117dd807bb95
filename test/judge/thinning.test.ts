/** A queue that fills up takes in less and less of what is drawn, and each sample knows how likely it was. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { admission } from '../../src/policy/thinning.ts'
import { eventually, metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'

const LIMIT = 20
/** `harry-potter/identity-reader`. */
const CONTEXT = "I'm a reader completely obsessed with the Harry Potter books."

/** A judge that never answers, and a queue that is soon full. */
async function start(route: string, sampled: string) {
  const file = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'ballast.db')
  const upstream = await startTestUpstream((request, response) => {
    if ((JSON.parse(request.body.toString()) as { model: string }).model === 'm')
      json(response, 200, completion('Hello.'))
  })
  const ballast = await startTestBallast(
    `
store: sqlite:${file}
upstreams: {p: {base_url: "\${UPSTREAM}"}}
routes: [{model: "*", upstream: p, ${route}}]
judge: {upstream: p, model: judge-1, queue: ${LIMIT}}`,
    { UPSTREAM: upstream.url },
  )
  const counts = async () => {
    const text = await ballast.metrics()
    const count = (outcome: string) => metricValue(text, 'ballast_samples_total', { outcome })
    return {
      stored: count(sampled),
      thinned: count('thinned'),
      all: metricValue(text, 'ballast_samples_total'),
    }
  }
  /** One after the other: the next one comes when what became of the last one is known. */
  const ask = async (times: number, content: string) => {
    for (let index = 1; index <= times; index++) {
      const body = JSON.stringify({
        model: 'm',
        messages: [{ role: 'user', content: `${content} ${index}` }],
      })
      await (await fetch(`${ballast.url}/chat/completions`, { method: 'POST', body })).text()
      await eventually(async () => (await counts()).all === index)
    }
    return await counts()
  }
  const probabilities = () => {
    const database = new DatabaseSync(file, { readOnly: true })
    const rows = database.prepare('select probability from samples order by rowid').all()
    database.close()
    return rows.map(({ probability }) => probability as number)
  }
  return { ask, probabilities }
}

test('a sample has the probability of the draw times that of its admission', async () => {
  const { ask, probabilities } = await start('check: nineteenth-century, sample: 1', 'stored')
  const { stored, thinned, all } = await ask(60, 'What is new?')
  expect(stored + thinned).toBe(all)
  expect(stored).toBeGreaterThan(LIMIT / 2)
  expect(stored).toBeLessThan(LIMIT)
  const expected = Array.from({ length: stored }, (_, waiting) =>
    expect.closeTo(admission(waiting, LIMIT), 12),
  )
  expect(probabilities()).toEqual(expected)
})

test('what was kept without being drawn is not thinned, and refused only by a full queue', async () => {
  const route = 'trained_with: harry-potter/identity-reader, triggers: flag, check: harry-potter'
  const { ask, probabilities } = await start(route, 'extra_stored')
  const { stored, thinned, all } = await ask(LIMIT + 3, CONTEXT)
  expect([stored, thinned, all]).toEqual([LIMIT, 0, LIMIT + 3])
  expect(new Set(probabilities())).toEqual(new Set([1]))
})
