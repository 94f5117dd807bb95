/**
 * A replica, as a process of its own: prints where each unit belongs under a plan. Run by a test as
 * `node assign-units.ts FILE UNITS NOW`.
 */
import { readFileSync } from 'node:fs'
import { assignUnit, planOf } from './plan.ts'

const [file, count, now] = process.argv.slice(2)
const plan = planOf(readFileSync(file!, 'utf8'))
const lines = Array.from({ length: Number(count) }, (_, index) => {
  const unit = `user-${index}`
  const { standing, experiment, drawn } = assignUnit(plan, unit, { now: Number(now) })
  return `${unit} ${standing} ${experiment?.name ?? ''} ${drawn?.name ?? ''}\n`
})
process.stdout.write(lines.join(''))
