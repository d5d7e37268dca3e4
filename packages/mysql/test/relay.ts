import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/**
 * What happens to a message of the client's that matched; `unknown` is one that begins with another command, and
 * `unanswered` one whose first answer is lost.
 */
export type Fate = 'hold' | 'cut before' | 'cut after' | 'unknown' | 'unanswered'

/** A TCP relay to the server that looks at what clients send. */
export interface Relay {
  readonly port: number
  /** Resolves when a message with this text is met, once it came to its fate. */
  at(text: string, fate: Fate): Promise<void>
  /** Sends on what was held. */
  release(): void
  /** What clients sent since the last call, each message by its command; with `+` between those that came at once. */
  sent(): string[]
  /** The texts of statements that clients sent since the last call. */
  texts(): string[]
  close(): Promise<void>
}

export interface RelayOptions {
  /** The server learns that the client never sends several statements in one message, and refuses them. */
  readonly oneStatement?: boolean
}

/** CLIENT_MULTI_STATEMENTS, in the third byte of the flags with which a login begins. */
const MULTI_STATEMENTS = 1

/** @param target the server's URL */
export async function startRelay(
  target: string,
  { oneStatement = false }: RelayOptions = {},
): Promise<Relay> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let trap: { text: string; fate: Fate; met: () => void } | undefined
  let held: (() => void) | undefined
  let sent: string[] = []
  let texts: string[] = []

  const server = createServer((client) => {
    const upstream = connect(Number(port || 3306), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    client.setNoDelay(true)
    upstream.setNoDelay(true)
    const cut = (): void => {
      client.destroy()
      upstream.destroy()
    }
    let swallow = false
    let lose = false
    let unread: Buffer = Buffer.alloc(0)
    if (oneStatement)
      client.once('data', (login: Buffer) => login.writeUInt8(login.readUInt8(6) & ~MULTI_STATEMENTS, 6))
    client.on('data', (chunk) => {
      unread = Buffer.concat([unread, chunk])
      const messages = messagesIn(unread)
      unread = unread.subarray(messages.reduce((length, each) => length + each.length, 0))
      if (messages.length > 0) sent.push(messages.map(commandOf).join('+'))
      for (const each of messages) if (commandOf(each) === 'query') texts.push(each.toString('utf8', 5))
      if (trap === undefined || !chunk.toString('latin1').includes(trap.text))
        return void upstream.write(chunk)
      const { text, fate, met } = trap
      trap = undefined
      if (fate === 'cut before') {
        cut()
        met()
      }
      if (fate === 'unknown') {
        chunk[chunk.indexOf(text, 0, 'latin1') + 4] = 0xfe
        upstream.write(chunk)
        met()
      }
      if (fate === 'unanswered') {
        lose = true
        upstream.write(chunk)
        met()
      }
      if (fate === 'hold') {
        held = () => upstream.write(chunk)
        met()
      }
      if (fate !== 'cut after') return
      // The server does it, and its answer is lost.
      swallow = true
      upstream.write(chunk)
      upstream.once('data', () => {
        cut()
        met()
      })
    })
    upstream.on('data', (chunk) => {
      const [first] = messagesIn(chunk)
      if (!swallow) client.write(lose ? chunk.subarray(first?.length) : chunk)
      lose = false
    })
    client.on('end', () => upstream.end())
    upstream.on('end', () => client.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    at(text, fate) {
      return new Promise((met) => {
        trap = { text, fate, met }
      })
    },
    release: () => held?.(),
    sent() {
      const all = sent
      sent = []
      return all
    },
    texts() {
      const all = texts
      texts = []
      return all
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Those that are there as a whole. */
function messagesIn(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUIntLE(at, 3)
    if (end > bytes.length) break
    messages.push(bytes.subarray(at, end))
    at = end
  }
  return messages
}

/** The command of a message; one that goes on with another (a login) has a number in its sequence. */
function commandOf(message: Buffer): string {
  if (message[3] !== 0) return 'answer'
  const names: Record<number, string> = {
    1: 'quit', 3: 'query', 17: 'change user', 22: 'prepare', 23: 'execute', 25: 'forget', 27: 'option',
    31: 'reset',
  } // biome-ignore format: a table

  return names[message[4] ?? 0] ?? 'another'
}
