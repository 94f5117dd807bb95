/** The thread of the back office: does what `office.ts` asks for, in messages. Started by `office.ts`, as a worker. */
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { openTracing } from '../adapters/tracing.ts'
import { noTracing } from '../domain/tracing.ts'
import { type BackOffice, openBackOffice } from './back-office.ts'
import {
  type Answer,
  forwardedLog,
  forwardedMetrics,
  type OfficeMessage,
  type OfficeRequest,
  plainError,
  type RequestName,
  type ThreadData,
} from './office-messages.ts'
import { Outbox } from './outbox.ts'

/** The least there is. Of a core that has too much to do the proxy has all but a sixtieth; what is idle is the office's. */
const NICENESS = 19

/** On Linux a thread has a priority of its own; elsewhere, and where /proc is hidden, all stay as they are. */
function stepBack(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), NICENESS)
  } catch {
    // It works without, only not last.
  }
}

type Handlers = {
  readonly [N in RequestName]: (request: OfficeRequest & { name: N }) => Answer<N> | Promise<Answer<N>>
}

async function main(): Promise<void> {
  const port = parentPort!
  const { config, judges, begun, traced } = workerData as ThreadData
  const outbox = new Outbox<OfficeMessage>((messages) => port.postMessage(messages))
  const send = (message: OfficeMessage) => outbox.send(message)
  const log = forwardedLog(send)
  const tracing = traced ? await openTracing(process.env, log) : noTracing
  let office: BackOffice
  try {
    office = await openBackOffice(config, { judges, metrics: forwardedMetrics(send), tracing, log })
    if (begun) office.use(config)
  } catch (error) {
    send({ kind: 'refused', error: plainError(error) })
    outbox.flush()
    process.exit()
  }
  const handlers: Handlers = {
    use: ({ argument }) => office.use(argument),
    expose: ({ argument }) => office.expose(argument),
    file: ({ argument }) => office.file(argument),
    reports: ({ argument }) => office.reports(argument),
    queue: () => office.queue(),
    armEvents: () => office.armEvents(),
    judging: () => office.desk.judging(),
    experiment: ({ argument }) => office.desk.experiment(argument),
    samples: ({ argument }) => office.desk.samples(argument),
    sample: ({ argument }) => office.desk.sample(argument),
    actOnArm: ({ argument }) => office.desk.actOnArm(argument),
    close: async () => {
      await office.close()
      await tracing.close()
    },
  }
  const handle = async (request: OfficeRequest) => {
    const { id, name } = request
    try {
      const value = await (handlers[name] as (request: OfficeRequest) => unknown)(request)
      send({ kind: 'answer', id, value })
    } catch (error) {
      send({ kind: 'failed', id, error: plainError(error) })
    }
    if (name !== 'close') return
    outbox.flush()
    process.exit()
  }
  port.on('message', (requests: readonly OfficeRequest[]) => {
    for (const request of requests) void handle(request)
  })
  // From here on; until it is ready, somebody waits for it.
  stepBack()
  send({ kind: 'ready' })
}

await main()
