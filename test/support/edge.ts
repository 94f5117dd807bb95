/**
 * What stands between clients and a Worker: Cloudflare's edge tells the Worker when a client has left. workerd by itself
 * notices a reset connection, not a closed one, which could be half closed; so this resets it.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Edge {
  readonly port: number
  close(): Promise<void>
}

/** @param port where the Worker listens. */
export async function startEdge(port: number): Promise<Edge> {
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const worker = connect(port, '127.0.0.1')
    for (const socket of [client, worker]) {
      open.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => open.delete(socket))
    }
    client.pipe(worker, { end: false })
    worker.pipe(client)
    client.on('end', () => worker.resetAndDestroy())
    client.on('close', () => worker.resetAndDestroy())
    // What the client still sends goes nowhere, so that it comes to read what it was sent.
    worker.on('close', () => client.end().resume())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}
