import type { Socket } from 'node:net'
import type { Around } from './pause-points.ts'

/**
 * Lets a process die between two messages of one call, too: for drivers that take a socket, and protocols in which
 * each message waits for its answer.
 *
 * @param nameOf what a message is called as a point; `undefined` for one that need not be any
 * @returns the socket given, of which each such message goes out, and its answer comes in, through `around`
 */
export function socketThrough<Connection extends Socket>(
  socket: Connection,
  around: Around,
  nameOf: (message: Buffer) => string | undefined,
): Connection {
  const write = socket.write.bind(socket) as (...given: unknown[]) => boolean
  const emit = socket.emit.bind(socket) as (...given: unknown[]) => boolean
  let underWay: Promise<void> | undefined
  let answered = (): void => {}
  let over = false

  const writeThrough = (message: Buffer, ...more: unknown[]): boolean => {
    const name = Buffer.isBuffer(message) ? nameOf(message) : undefined
    if (name === undefined) return write(message, ...more)
    underWay = around(name, () => {
      const answer = new Promise<void>((resolve) => {
        answered = resolve
        // The service did not wait.
        if (over) resolve()
      })
      write(message, ...more)
      return answer
    }).finally(() => {
      underWay = undefined
    })
    return true
  }
  // Connecting sets `write` back to the class's own: https://github.com/nodejs/node/blob/v24.x/lib/net.js
  Object.defineProperty(socket, 'write', { get: () => writeThrough, set() {} })
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event !== 'data' && event !== 'end' && event !== 'error' && event !== 'close') {
      return emit(event, ...args)
    }
    over ||= event !== 'data'
    answered()
    if (underWay === undefined) return emit(event, ...args)
    void underWay.then(() => emit(event, ...args))
    return true
  }
  return socket
}
