/** Says by the environment whether anything is traced, and loads what traces only then. Called by `ballast serve`, its back office and `ballast judge`. */
import type { Log } from '../domain/ports.ts'
import { noTracing, type Tracing } from '../domain/tracing.ts'
import { type Environment, problemsIn, signalsOf } from './tracing-signals.ts'

/** @throws Error when a variable asks for something that there is not. */
export async function openTracing(environment: Environment, log: Log): Promise<Tracing> {
  const signals = signalsOf(environment)
  if (signals.length === 0) return noTracing
  const problems = problemsIn(environment)
  if (problems.length > 0) throw new Error(problems.join('\n'))
  const { startOtelTracing } = await import('./tracing-otel.ts')
  return startOtelTracing(signals, environment, log)
}
