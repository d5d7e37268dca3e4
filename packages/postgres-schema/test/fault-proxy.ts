import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP proxy that misbehaves on command, and counts round trips. */
export interface FaultProxy {
  readonly host: '127.0.0.1'
  readonly port: number
  /** Milliseconds to hold back each answer of the server; it is delivered then, wanted or not. */
  delay: (answer: Uint8Array) => number
  /** Cuts every connection after so many more bytes of answers. */
  cutAfter: number
  /** Messages of the client that came after an answer of the server: how often it waited. */
  readonly roundTrips: number
  stop(): Promise<void>
}

export async function startFaultProxy(url: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  let roundTrips = 0
  const server: Server = createServer((client) => {
    const upstream = connect(Number(port || 5432), hostname)
    let answered = true
    let last: Promise<unknown> = Promise.resolve()
    for (const socket of [client, upstream]) {
      sockets.add(socket.setNoDelay())
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        // What is held back is still delivered, as a network would.
        void last.then(() => {
          client.destroy()
          upstream.destroy()
        })
      })
    }
    client.on('data', (chunk) => {
      if (answered) roundTrips++
      answered = false
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      answered = true
      proxy.cutAfter -= chunk.length
      if (proxy.cutAfter < 0) return client.destroy()
      const ms = proxy.delay(chunk)
      const held = ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined
      // In order, as TCP keeps it.
      if (held === undefined && ms === 0 && quiet) client.write(chunk)
      else {
        quiet = false
        last = last.then(() => held).then(() => client.write(chunk))
      }
    })
    let quiet = true
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy = {
    host: '127.0.0.1' as const,
    port: (server.address() as { port: number }).port,
    delay: (_: Uint8Array) => 0,
    cutAfter: Number.POSITIVE_INFINITY,
    get roundTrips() {
      return roundTrips
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}
