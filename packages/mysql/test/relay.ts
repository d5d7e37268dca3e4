import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/**
 * The relay's action on a matching message of the client: `unknown` replaces the command of the message, and
 * `unanswered` discards the first answer to the message.
 */
export type Fate = 'hold' | 'cut before' | 'cut after' | 'unknown' | 'unanswered'

/** A TCP relay to the server that reads the messages of its clients. */
export interface Relay {
  readonly port: number
  /** Applies the action to the next message with this text, and resolves afterwards. */
  at(text: string, fate: Fate): Promise<void>
  /** Forwards the message that `hold` stopped. */
  release(): void
  /** The commands of the clients' messages since the last call, with `+` between messages that arrived in one chunk. */
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
  let sendOn: (() => void) | undefined
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
      const messages = splitMessages(unread)
      unread = unread.subarray(messages.reduce((length, each) => length + each.length, 0))
      if (messages.length > 0) sent.push(messages.map(readCommand).join('+'))
      for (const each of messages) if (readCommand(each) === 'query') texts.push(each.toString('utf8', 5))
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
        sendOn = () => upstream.write(chunk)
        met()
      }
      if (fate !== 'cut after') return
      // The server runs the statement, and its answer is lost.
      swallow = true
      upstream.write(chunk)
      upstream.once('data', () => {
        cut()
        met()
      })
    })
    upstream.on('data', (chunk) => {
      const [first] = splitMessages(chunk)
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
    release: () => sendOn?.(),
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

/** The messages that have arrived completely. */
function splitMessages(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUIntLE(at, 3)
    if (end > bytes.length) break
    messages.push(bytes.subarray(at, end))
    at = end
  }
  return messages
}

/** The command of a message. A message that continues an exchange, such as a login, has a sequence number above 0. */
function readCommand(message: Buffer): string {
  if (message[3] !== 0) return 'answer'
  const names: Record<number, string> = {
    1: 'quit', 3: 'query', 17: 'change user', 22: 'prepare', 23: 'execute', 25: 'forget', 27: 'option',
    31: 'reset',
  } // biome-ignore format: a table

  return names[message[4] ?? 0] ?? 'another'
}
