/** HTTP servers: to listen, and to end in good order. Used by `node.ts` and `judge-process.ts`. */
import type { Server } from 'node:http'
import { type AddressInfo, Server as Listener, type Socket } from 'node:net'
import { type Address, formatAddress } from '../config/values.ts'

/** Connections that wait to be accepted: with Node's 511, a few thousand that come at once lose some (the kernel resets them). */
const BACKLOG = 4096
const IDLE_SWEEP_MS = 50
/**
 * So long connections stay that are idle when a server stops listening, and what comes on them is answered: a request may be
 * on its way, and a proxy in front, which cannot know that nobody read it, would have to fail it.
 */
export const LATE_MS = 1_000

/** Of each server that listens. */
const connections = new WeakMap<Listener, Set<Socket>>()

/**
 * @param shared with other processes' servers, which say so too; the kernel spreads the connections (`SO_REUSEPORT`).
 * @throws Error when the address is in use or not this machine's; its cause has the system's code.
 */
export function listen(server: Listener, { host, port }: Address, shared = false): Promise<Address> {
  const open = new Set<Socket>()
  connections.set(server, open)
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'something listens there already' : error.message
      reject(new Error(`cannot listen on ${formatAddress({ host, port })}: ${reason}`, { cause: error }))
    })
    server.listen({ port, host, backlog: BACKLOG, reusePort: shared }, () => {
      const { address, port: chosen } = server.address() as AddressInfo
      resolve({ host: host === 'localhost' ? host : address, port: chosen })
    })
  })
}

/** Finds the port that stands for 0, and whether the address can be had. @throws Error as `listen` does. */
export async function probe(address: Address): Promise<Address> {
  const server = new Listener()
  const found = await listen(server, address)
  await new Promise((resolve) => server.close(resolve))
  return found
}

/** Stops listening and resolves when the running requests have ended, at the latest after `drainMs`. */
export function closeServer(server: Server, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve()
    const timer = setTimeout(() => server.closeAllConnections(), drainMs)
    let sweep: NodeJS.Timeout | undefined
    const late = setTimeout(
      () => {
        // HTTP's `close` ends the connections that are idle now; one that becomes idle later would stay for its keep-alive.
        server.close()
        sweep = setInterval(() => closeIdle(server), IDLE_SWEEP_MS)
      },
      Math.min(LATE_MS, drainMs),
    )
    Listener.prototype.close.call(server, () => {
      clearTimeout(timer)
      clearTimeout(late)
      clearInterval(sweep)
      resolve()
    })
  })
}

function closeIdle(server: Server): void {
  server.closeIdleConnections()
  // Opened in advance, as pools of clients do; for Node it is busy until its first request has come.
  for (const socket of connections.get(server) ?? []) if (socket.bytesRead === 0) socket.destroy()
}
