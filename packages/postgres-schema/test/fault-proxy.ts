import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP proxy that misbehaves on command, and counts round trips. */
export interface FaultProxy {
  readonly host: '127.0.0.1'
  readonly port: number
  /** Milliseconds by which the proxy delays an answer of the server. It then delivers the answer in any case. */
  delay: (answer: Uint8Array) => number
  /** The proxy cuts every connection after this number of further bytes of answers. */
  cutAfter: number
  /** The number of times that the client sent a message after an answer of the server. */
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
        // A network delivers delayed bytes too, so the proxy still sends them.
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
      const delay = ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined
      // Answers stay in order, as in TCP.
      if (delay === undefined && ms === 0 && undelayed) client.write(chunk)
      else {
        undelayed = false
        last = last.then(() => delay).then(() => client.write(chunk))
      }
    })
    let undelayed = true
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
