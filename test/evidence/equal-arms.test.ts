/** Twenty experiments whose arms are equal, followed by two processes at once on a real store: none is acted on. */
import { describe, expect, test } from 'vitest'
import { seeded } from '../../bench/random.ts'
import { noLog } from '../../src/domain/ports.ts'
import { EvidenceFollower } from '../../src/node/evidence.ts'
import { Following } from '../../src/node/following.ts'
import type { Plan } from '../../src/policy/compile.ts'
import { type Engine, openTwice, postgresDatabase, sqliteFile } from '../store/engines.ts'
import { planOf } from '../support/plan.ts'
import { postgres, usePostgres } from '../support/postgres.ts'
import { describeWith } from '../support/requires.ts'
import { makeSample, verdictOn } from '../support/store-samples.ts'

const RUNS = 20
const VERDICTS = 200
/** Both processes look after so many verdicts. */
const LOOK_EVERY = 10

/** @param treated the positive rate of the arm that injects; the control's is 0.2. */
async function followed(engine: Engine, runs: number, treated: number) {
  const names = Array.from({ length: runs }, (_, run) => `run-${run}`)
  const plan = planOf(`
routes: [{model: "*", upstream: p}]
experiments:
${names
  .map(
    (name) => `  ${name}:
    arms: {control: {weight: 1}, treated: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
    rollback: {worse_than: control, above: 0.5}
    promote: {better_than: control}`,
  )
  .join('\n')}
judge: {upstream: p, model: m}
`)
  /** Of the followers: what was requested up to now is judged. */
  let clock = 0
  const stores = await openTwice(engine)
  const following = stores.map(
    (store) =>
      new Following({
        follower: new EvidenceFollower({ store, wait: () => 0, log: noLog, now: () => clock }),
        store,
        plan: () => plan,
        log: noLog,
      }),
  )
  const start = Date.now()
  const look = () => Promise.all(following.map((it) => it.follow()))
  const random = names.map((_, run) => seeded(run + 1))
  for (let n = 1; n <= VERDICTS; n++) {
    await Promise.all(
      plan.experiments.map((experiment, run) =>
        store(stores[n % 2]!, experiment, random[run]!, treated, start, n),
      ),
    )
    clock = start + n
    if (n % LOOK_EVERY === 0) await look()
  }
  return await stores[0].armEvents()
}

async function store(
  to: Awaited<ReturnType<typeof openTwice>>[0],
  experiment: Plan['experiments'][number],
  random: () => number,
  treated: number,
  start: number,
  n: number,
): Promise<void> {
  const arm = experiment.arms[random() < 0.5 ? 0 : 1]!
  const positive = random() < (arm.policyId === null ? 0.2 : treated)
  const check = experiment.check!
  const sample = makeSample({
    experiment: experiment.name,
    arm: arm.name,
    policy: arm.policyId,
    policyHash: arm.policyHash,
    check: check.id,
    checkVersion: check.version,
    requestedAt: start + n,
  })
  await to.offer(sample)
  const { version: checkVersion } = check
  await to.addVerdict(verdictOn(sample, positive ? 'positive' : 'negative', { checkVersion }))
}

function equalArms(engine: Engine): void {
  test(`acts on none of ${RUNS} whose arms are equal`, async () => {
    expect(await followed(engine, RUNS, 0.2)).toEqual([])
  }, 180_000)

  test('acts once on one whose arm is worse', async () => {
    const [event, ...others] = await followed(engine, 1, 0.7)
    expect(event).toMatchObject({ experiment: 'run-0', arm: 'treated', action: 'off', by: 'rollback' })
    expect(others).toEqual([])
  })
}

describe('SQLite', () => equalArms(sqliteFile))

describeWith(postgres, 'Postgres', () => {
  const server = usePostgres()
  equalArms(postgresDatabase(() => server().database()))
})
