/**
 * Records one request of a Worker: counts it at once, and hands on what is to be stored when it is over. Made by
 * `worker.ts` for each request.
 */
import type { Unit } from '../domain/experiment.ts'
import type { Metrics } from '../domain/ports.ts'
import type { SampleOutcome } from '../domain/sample.ts'
import type { Exposed, Recording, SampledExchange } from '../pipeline/record.ts'

export class RequestRecording implements Recording {
  readonly full = false
  private readonly metrics: Metrics

  constructor(metrics: Metrics) {
    this.metrics = metrics
  }

  expose({ name }: Exposed, arm: string, _source: Unit['source'], _unitHash: string): void {
    this.metrics.exposure(name, arm)
  }

  keep({ sample }: SampledExchange): void {
    const { experiment, arm, extra } = sample
    this.lose(experiment, arm, (extra ?? null) === null ? 'store_error' : 'extra_store_error')
  }

  lose(experiment: string, arm: string, outcome: SampleOutcome): void {
    this.metrics.sample(experiment, arm, outcome)
  }
}
