import type { Socket } from 'node:net'
import type { Around } from './pause-points.ts'

/**
 * Turns each message of one call into a pause point: for drivers that accept a socket, and protocols in which each message
 * waits for its reply.
 *
 * @param nameMessage returns the name of a message's point, or `undefined` when the message needs no point
 * @returns the same socket, whose named messages and their replies pass through `around`
 */
export function interceptSocket<Connection extends Socket>(
  socket: Connection,
  around: Around,
  nameMessage: (message: Buffer) => string | undefined,
): Connection {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  const emit = socket.emit.bind(socket) as (...args: unknown[]) => boolean
  let pending: Promise<void> | undefined
  let resolveReply = (): void => {}
  let hasEnded = false

  const interceptedWrite = (message: Buffer, ...more: unknown[]): boolean => {
    const name = Buffer.isBuffer(message) ? nameMessage(message) : undefined
    if (name === undefined) return write(message, ...more)
    pending = around(name, () => {
      const reply = new Promise<void>((resolve) => {
        resolveReply = resolve
        // A connection that has ended brings no reply.
        if (hasEnded) resolve()
      })
      write(message, ...more)
      return reply
    }).finally(() => {
      pending = undefined
    })
    return true
  }
  // Connecting sets `write` back to the method of the class: https://github.com/nodejs/node/blob/v24.x/lib/net.js
  Object.defineProperty(socket, 'write', { get: () => interceptedWrite, set() {} })
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event !== 'data' && event !== 'end' && event !== 'error' && event !== 'close') {
      return emit(event, ...args)
    }
    hasEnded ||= event !== 'data'
    resolveReply()
    if (pending === undefined) return emit(event, ...args)
    void pending.then(() => emit(event, ...args))
    return true
  }
  return socket
}
