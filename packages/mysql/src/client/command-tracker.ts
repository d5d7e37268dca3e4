import { type EventEmitter, errorMonitor } from 'node:events'
import type { TenancyError } from '@tenantry/multi-tenancy/provider'
import { leavesNoDoubt } from '../errors.ts'

export type Callback = (error: unknown, ...results: unknown[]) => void

/** What the driver's `query` and `execute` return: an emitter that emits `end` once. */
export type Command = EventEmitter

/** The commands of one lease that wait for the server. */
export interface CommandTracker {
  readonly running: number
  /** An error left the state of the connection unknown. */
  readonly isInDoubt: boolean
  /** The callback, called once, and counted as running until then: for a command without events. */
  watch(callback: Callback): Callback
  /** Calls the driver with watched callbacks, and counts the command until it ends. */
  send(args: unknown[], call: (args: any[]) => unknown): Command
  /** Fails every command that waits. The driver does not call the callbacks of a connection that is destroyed. */
  rejectAll(error: TenancyError): void
}

/**
 * @param toClientError converts an error for the user of the client
 * @param onTimeout called when a command passed its own `timeout`, while the server still runs it
 */
export function createCommandTracker(
  toClientError: (error: unknown) => unknown,
  onTimeout: () => void,
): CommandTracker {
  const pending = new Set<(error: unknown) => void>()
  let running = 0
  let isInDoubt = false

  function callOnce(callback: Callback): Callback {
    let isCalled = false
    const answer: Callback = (error, ...results) => {
      if (isCalled) return
      isCalled = true
      pending.delete(answer)
      if (!error) {
        callback(null, ...results)
        return
      }
      if (!leavesNoDoubt(error)) isInDoubt = true
      // The server goes on with the statement, and its answer must not reach another one.
      if ((error as { code?: unknown }).code === 'PROTOCOL_SEQUENCE_TIMEOUT') onTimeout()
      callback(toClientError(error))
    }
    pending.add(answer)
    return answer
  }

  return {
    get running() {
      return running
    },
    get isInDoubt() {
      return isInDoubt
    },
    watch(callback) {
      running++
      return callOnce((...answer) => {
        running--
        callback(...answer)
      })
    },
    send(args, call) {
      const hasCallback = args.some((arg) => typeof arg === 'function')
      running++
      try {
        const command = call(
          args.map((arg) => (typeof arg === 'function' ? callOnce(arg as Callback) : arg)),
        ) as Command
        const reject = (error: unknown): void =>
          void (command.listenerCount('error') > 0 && command.emit('error', error))
        if (!hasCallback) {
          pending.add(reject)
          command.on(errorMonitor, (error) => {
            if (!leavesNoDoubt(error)) isInDoubt = true
          })
        }
        command.once('end', () => {
          pending.delete(reject)
          running--
        })
        return command
      } catch (error) {
        running--
        throw error
      }
    },
    rejectAll(error) {
      for (const reject of [...pending]) reject(error)
    },
  }
}
