import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { splitStatements } from '@tenantry/multi-tenancy/provider'

const [QUERY, RESET] = [3, 0x1f]
const [OK, END, ERROR] = [0, 0xfe, 0xff]
const MORE_RESULTS = 8

/** A message to the server, and how its answer ends. The next message waits for that end. */
interface Task {
  readonly message: Buffer
  /** Whether further statements of the same message follow. Undefined where the message had one statement. */
  readonly more?: boolean
  /** The number of answers that the server sends. */
  readonly results?: number
  /** The next message does not wait for the answer to this one. */
  readonly through?: boolean
}

/**
 * A socket for the driver that sends the statements of one message one by one, in the order in which the server runs
 * them. So a process can die, or a connection be cut, before and after each. A transaction stays one message: the
 * server never waits for its client inside a transaction, and a transaction that is cut has not happened.
 */
export function byStatement(inner: Socket): Duplex {
  const tasks: Task[] = []
  let current: Task | undefined
  let answers = 0
  let ends = 0
  let left = 0
  let unread: Buffer = Buffer.alloc(0)

  function next(): void {
    current = tasks.shift()
    ends = 0
    left = current?.results ?? 1
    if (current !== undefined) inner.write(current.message)
    if (current?.through) current = undefined
  }

  function take(message: Buffer): void {
    const command = message[3] === 0 ? message[4] : undefined
    const units =
      command === QUERY ? groupTransactions(splitStatements(message.toString('utf8', 5), 'mysql')) : []
    if (units.length > 1) {
      answers = 0
      units.forEach((unit, at) => {
        const more = at < units.length - 1
        tasks.push({ message: queryMessage(unit.join('; ')), more, results: unit.length })
      })
    } else if (command === RESET) tasks.push({ message })
    else tasks.push({ message, through: true })
    if (current === undefined) next()
  }

  function answer(packet: Buffer): void {
    if (current?.more === undefined) {
      outer.push(packet)
      if (current !== undefined) next()
      return
    }
    const refused = packet[4] === ERROR
    const set = packet[4] === END && packet.length < 13
    if (set) ends++
    // One packet ends the columns, another ends the rows.
    const whole = ends === 0 ? packet[4] === OK : ends === 2
    if (whole) {
      ends = 0
      left--
    }
    const last = refused || left === 0
    if (last && !refused && current.more) addFlag(packet)
    packet[3] = ++answers
    outer.push(packet)
    if (!last) return
    if (refused) while (tasks[0]?.more !== undefined) tasks.shift()
    next()
  }

  const outer = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      for (let at = 0; at < chunk.length; ) {
        const end = at + 4 + chunk.readUIntLE(at, 3)
        take(chunk.subarray(at, end))
        at = end
      }
      done()
    },
    final(done) {
      inner.end()
      done()
    },
    destroy(error, done) {
      inner.destroy()
      done(error)
    },
  })
  inner.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk])
    while (unread.length >= 4 && unread.length >= 4 + unread.readUIntLE(0, 3)) {
      const packet = Buffer.from(unread.subarray(0, 4 + unread.readUIntLE(0, 3)))
      unread = unread.subarray(packet.length)
      answer(packet)
    }
  })
  inner.on('end', () => outer.push(null))
  inner.on('error', (error) => outer.destroy(error))
  inner.on('close', () => outer.destroy())
  return outer
}

function groupTransactions(texts: readonly string[]): string[][] {
  const units: string[][] = []
  let open = false
  for (const text of texts) {
    if (open) units.at(-1)?.push(text)
    else units.push([text])
    open = text === 'BEGIN' || (open && text !== 'COMMIT')
  }
  return units
}

function queryMessage(text: string): Buffer {
  const body = Buffer.from(`\x03${text}`)
  const head = Buffer.alloc(4)
  head.writeUIntLE(body.length, 0, 3)
  return Buffer.concat([head, body])
}

/** Sets the flag for a further answer. The status follows two numbers in OK, and the number of warnings in the end of a result set. */
function addFlag(packet: Buffer): void {
  let at = packet[4] === OK ? 5 : 7
  if (packet[4] === OK)
    for (let number = 0; number < 2; number++) at += { 252: 3, 253: 4, 254: 9 }[packet[at] ?? 0] ?? 1
  packet.writeUInt16LE(packet.readUInt16LE(at) | MORE_RESULTS, at)
}
