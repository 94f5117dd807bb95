/** The course of an experiment: what the page draws ends where the reports stand, however much there is to read. */
import { expect, test } from 'vitest'
import { noLog } from '../../src/domain/ports.ts'
import { Courses } from '../../src/node/courses.ts'
import { EvidenceFollower } from '../../src/node/evidence.ts'
import type { CompiledExperiment } from '../../src/policy/compile.ts'
import { ArmSwitches } from '../../src/policy/switches.ts'
import { Course } from '../../src/stats/course.ts'
import { planEvidence } from '../../src/stats/evidence.ts'
import { FOLLOWED, openStore, sampleOf, verdictOf } from '../support/judged.ts'

const EXPERIMENT = {
  ...FOLLOWED.experiment,
  check: FOLLOWED.check,
  randomized: true,
  switches: new ArmSwitches('w', []),
} as unknown as CompiledExperiment

/** Verdict number `n`: 60% positive in control, 10% in the treated arm. */
const verdictAt = (n: number) => {
  const arm = n % 2 === 0 ? 'control' : 'treated'
  return { arm, positive: (n * 7919) % 10 < (arm === 'control' ? 6 : 1) }
}

async function storeWith(count: number) {
  const store = await openStore()
  for (let n = 0; n < count; n++) {
    const { arm, positive } = verdictAt(n)
    const id = `r-${String(n).padStart(6, '0')}`
    await store.offer(sampleOf({ id, arm, requestedAt: 1_000 + n, question: `q ${n}` }))
    await store.addVerdict(verdictOf(id, positive ? 'positive' : 'negative'))
  }
  const clock = { now: 1_000 + count }
  const follower = new EvidenceFollower({ store, wait: () => 0, log: noLog, now: () => clock.now })
  return { store, clock, follower, courses: new Courses({ store, follower }) }
}

test('ends with the numbers of the report', async () => {
  const { courses, follower } = await storeWith(700)
  const so = (await courses.read(EXPERIMENT))!
  const evidence = await follower.update({ experiment: EXPERIMENT, check: FOLLOWED.check })
  const [result] = evidence.reported.results()
  const last = so.course.points().at(-1)!
  expect([so.complete, so.compared, last.verdicts]).toEqual([true, true, 700])
  expect(last.comparisons).toEqual([
    {
      arm: 'treated',
      ...result!.difference,
      logEBetter: result!.logEBetter,
      logEWorse: result!.logEWorse,
      decision: result!.decision,
    },
  ])
  expect(last.arms.map(({ arm, total }) => [arm, total])).toEqual([
    ['control', 350],
    ['treated', 350],
  ])
})

test('reads on from where it was, and the same whoever reads when', async () => {
  const { store, clock, courses, follower } = await storeWith(300)
  await courses.read(EXPERIMENT)
  for (let n = 300; n < 420; n++) {
    const { arm, positive } = verdictAt(n)
    const id = `r-${String(n).padStart(6, '0')}`
    await store.offer(sampleOf({ id, arm, requestedAt: 1_000 + n, question: `q ${n}` }))
    await store.addVerdict(verdictOf(id, positive ? 'positive' : 'negative'))
  }
  clock.now = 1_420
  const [one, same] = await Promise.all([courses.read(EXPERIMENT), courses.read(EXPERIMENT)])
  const fresh = await new Courses({ store, follower }).read(EXPERIMENT)
  expect(one!.course.points().at(-1)!.verdicts).toBe(420)
  expect(same!.course.points()).toEqual(one!.course.points())
  expect(fresh!.course.points()).toEqual(one!.course.points())
})

test('keeps few points of many verdicts, in order, the last one among them', () => {
  const course = new Course(planEvidence(FOLLOWED.experiment), 0)
  const count = 20_011
  for (let n = 0; n < count; n++)
    course.add({ ...verdictAt(n), requestedAt: n, sampleId: String(n), assignment: 'w' })
  const points = course.points()
  expect(points.length).toBeGreaterThan(35)
  expect(points.length).toBeLessThan(85)
  const verdicts = points.map((it) => it.verdicts)
  expect(verdicts).toEqual([...verdicts].sort((a, b) => a - b))
  expect(verdicts.at(-1)).toBe(count)
  for (const { arms } of points)
    for (const { estimate, lower, upper } of arms)
      if (estimate !== null) expect(lower <= estimate && estimate <= upper).toBe(true)
})

test('an experiment without a check has none', async () => {
  const { courses } = await storeWith(0)
  expect(await courses.read({ ...EXPERIMENT, check: null })).toBeNull()
})
