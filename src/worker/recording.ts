/**
 * Records one request of a Worker: counts it at once, and holds what is to be stored until it is over. Made by `worker.ts`
 * for each request.
 */
import type { Unit } from '../domain/experiment.ts'
import type { Metrics } from '../domain/ports.ts'
import type { SampleOutcome } from '../domain/sample.ts'
import type { Exposed } from '../pipeline/exposure-counts.ts'
import type { Recording, SampledExchange } from '../pipeline/record.ts'
import { TAP_LIMIT } from '../pipeline/tap.ts'
import type { HandOver, Place } from './hand-over.ts'

export class RequestRecording implements Recording {
  private readonly metrics: Metrics
  private readonly handOver: HandOver
  private exchange: SampledExchange | null = null

  constructor(metrics: Metrics, handOver: HandOver) {
    this.metrics = metrics
    this.handOver = handOver
  }

  get full(): boolean {
    return this.handOver.full
  }

  expose(experiment: Exposed, arm: string, source: Unit['source'], unitHash: string): void {
    this.metrics.exposure(experiment.name, arm)
    this.handOver.expose(experiment, arm, source, unitHash)
  }

  keep(exchange: SampledExchange): void {
    const { experiment, arm, extra } = exchange.sample
    const outcome = exchange.body.length > TAP_LIMIT ? 'too_large' : this.full ? 'overload' : null
    if (outcome === null) this.exchange = exchange
    else this.lose(experiment, arm, (extra ?? null) === null ? outcome : `extra_${outcome}`)
  }

  lose(experiment: string, arm: string, outcome: SampleOutcome): void {
    this.metrics.sample(experiment, arm, outcome)
  }

  /** Stores what there is of this request, and of others of the isolate. Never rejects. */
  async settle(place: Place): Promise<void> {
    if (this.exchange === null) return await this.handOver.storeExposures(place)
    const { experiment, arm, extra } = this.exchange.sample
    const outcome = await this.handOver.store(this.exchange, place)
    this.metrics.sample(experiment, arm, (extra ?? null) === null ? outcome : `extra_${outcome}`)
  }
}
