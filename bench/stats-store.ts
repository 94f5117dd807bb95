/**
 * What following an experiment costs with its store: a SQLite file with a million verdicts, read once as a process that
 * starts anew reads them, and a report made of it. Called by `stats.ts`. Processor time, so that what else the machine
 * does counts less.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openSqliteStore } from '../src/adapters/store-sqlite.ts'
import type { Check } from '../src/domain/check.ts'
import { noLog } from '../src/domain/ports.ts'
import { EvidenceFollower } from '../src/node/evidence.ts'
import { cachedReports } from '../src/node/reports.ts'
import { compilePlan, type Plan } from '../src/policy/compile.ts'

const CHECK: Check = {
  id: 'trait',
  version: 'v1',
  description: 'A check',
  rubrics: [],
  rule: { excluded_if_any: [], positive_if_all: [] },
  examples: [],
}

export interface StoreCost {
  readonly verdicts: number
  /** Reading all of them, the store's part included. */
  readonly microsecondsPerVerdict: number
  /** Reading the last hundredth, which came after. */
  readonly lastHundredth: number
  /** Of a process that has followed all along. */
  readonly reportMilliseconds: number
  /** Of a process that has just started: it reads the note. */
  readonly firstReportMilliseconds: number
  /** An update without a new verdict. */
  readonly idleMilliseconds: number
}

export async function measureStore(verdicts: number): Promise<StoreCost> {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-bench-'))
  try {
    const path = join(folder, 'ballast.db')
    const plan = planOfBench()
    const store = await openSqliteStore({ path, queueLimit: 1 })
    fill(path, verdicts)
    // One a millisecond from 1 on: up to here they are waited for.
    let now = Math.floor(verdicts * 0.99)
    const follower = () => new EvidenceFollower({ store, wait: () => 0, log: noLog, now: () => now })
    const first = follower()
    const followed = { experiment: plan.experiments[0]!, check: CHECK }
    const counted = async (until: number) => {
      now = until
      return (await first.update(followed)).counted
    }
    const timed = async <T>(run: () => Promise<T>): Promise<[T, number]> => {
      const started = process.cpuUsage()
      const result = await run()
      const { user, system } = process.cpuUsage(started)
      return [result, (user + system) / 1000]
    }
    const [most, mostMs] = await timed(() => counted(now))
    const [all, lastMs] = await timed(() => counted(verdicts + 1))
    const [, idleMs] = await timed(() => counted(verdicts + 1))
    if (all !== verdicts) throw new Error(`${all} of ${verdicts} verdicts were counted`)
    const [, reportMs] = await timed(cachedReports(plan, store, first))
    const [, firstReportMs] = await timed(cachedReports(plan, store, follower()))
    await store.close()
    return {
      verdicts,
      microsecondsPerVerdict: (mostMs * 1000) / most,
      lastHundredth: (lastMs * 1000) / (all - most),
      reportMilliseconds: reportMs,
      firstReportMilliseconds: firstReportMs,
      idleMilliseconds: idleMs,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function planOfBench(): Plan {
  return compilePlan({
    routes: [{ model: '*', upstream: 'p', experiment: 'bench' }],
    experiments: {
      bench: {
        unit: ['user'],
        salt: '',
        arms: { control: { weight: 1 }, treated: { weight: 1, policy: 'p/p' } },
        ramp: 1,
        check: CHECK.id,
        sample: 1,
        rollback: { alpha: 0.05, above: 0.5 },
      },
    },
    policies: new Map([
      ['p/p', { id: 'p/p', interventions: [{ placement: 'user-prepend', text: 'A context.' }] }],
    ]),
    checks: new Map([[CHECK.id, CHECK]]),
  })
}

/** Writes samples, verdicts, tallies and units as the store would, only all at once. */
function fill(path: string, verdicts: number): void {
  const database = new DatabaseSync(path)
  const hash = planOfBench().experiments[0]!.arms[1]!.policyHash!
  database.exec('PRAGMA synchronous = OFF; BEGIN')
  const insert = (sql: string, ...values: readonly (string | number)[]) =>
    database.prepare(sql).run(...values)
  // Half of them treated; ids and units in no order, as real ones are.
  insert(
    `with recursive n(i, treated) as
      (select 1, random() & 1 union all select i + 1, random() & 1 from n where i < ?)
    insert into samples (id, experiment, arm, policy, policy_hash, check_id, check_version, probability, model, unit,
      question_hash, assignment, requested_at, messages, question, answer, erased, done, visible_at, attempts, extra)
    select lower(hex(randomblob(16))), 'bench', iif(treated, 'treated', 'control'), iif(treated, 'p/p', null),
      iif(treated, ?, null), 'trait', 'v1', 1, 'm', lower(hex(randomblob(16))), lower(hex(randomblob(16))), 'w', i,
      '[]', '', '', 1, 1, 0, 1, null from n`,
    verdicts,
    hash,
  )
  insert(
    `insert into verdicts (sample_id, check_id, check_version, verdict, scores, judged_at)
    select id, 'trait', 'v1', iif(random() % 20 = 0, 'positive', 'negative'), '{}', requested_at from samples`,
  )
  insert(
    `insert into units (experiment, arm, assignment, unit) select experiment, arm, assignment, unit from samples`,
  )
  database.exec(`
    insert into tallies select experiment, check_id, check_version, arm, coalesce(policy_hash, ''),
      requested_at / 3600000 * 3600000, 'sample', 0, count(*), count(*), count(*) from samples group by 1, 2, 3, 4, 5, 6;
    insert into tallies select s.experiment, s.check_id, s.check_version, arm, coalesce(policy_hash, ''),
      requested_at / 3600000 * 3600000, verdict, 0, count(*), count(*), count(*)
      from samples s join verdicts v on v.sample_id = s.id group by 1, 2, 3, 4, 5, 6, 7;
    insert into exposures (experiment, arm, assignment, exposures, anonymous_units)
      select experiment, arm, assignment, count(*), 0 from units group by 1, 2, 3;
    COMMIT`)
  database.close()
}
