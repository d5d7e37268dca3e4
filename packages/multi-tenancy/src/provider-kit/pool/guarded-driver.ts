import { TenancyError } from '../../errors.ts'
import type { LeasePoolSettings, LeasePoolStep } from './options.ts'

/** The driver's calls, each settling in bounded time; only `open` rejects. */
export interface GuardedDriver<Connection, Target> {
  open(target: Target, signal: AbortSignal): Promise<Connection>
  /** False when it cannot be trusted to have become the target's. */
  retarget(connection: Connection, target: Target, signal: AbortSignal): Promise<boolean>
  /** At once where the driver needs no round trip. */
  clean(connection: Connection): boolean | Promise<boolean>
  close(connection: Connection): Promise<void>
  report(error: unknown, step: LeasePoolStep): void
  /** Errors reported. */
  readonly errors: number
}

/** Puts a deadline and a catch around each of the driver's calls. */
export function guardDriver<Connection extends object, Target>(
  settings: LeasePoolSettings<Connection, Target>,
): GuardedDriver<Connection, Target> {
  const { closeTimeout, setTimer } = settings
  const now = AbortSignal.abort()
  let errors = 0

  /** Settles as the work does, or rejects `closeTimeout` after the signal; what comes later is closed or lost. */
  function patiently<T>(work: () => Promise<T>, signal = now, late?: (value: T) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      let stop: (() => void) | undefined
      let hung = false
      const wait = (): void => {
        stop = setTimer(() => {
          hung = true
          reject(new TenancyError('timeout', 'The driver did not answer in time'))
        }, closeTimeout)
      }
      if (signal.aborted) wait()
      else signal.addEventListener('abort', wait, { once: true })
      const settle = (): void => {
        stop?.()
        signal.removeEventListener('abort', wait)
      }
      // Inside `then`, so that a throw of the call itself rejects.
      attempt(work).then(
        (value) => {
          settle()
          if (hung) late?.(value)
          else resolve(value)
        },
        (error) => {
          settle()
          reject(error)
        },
      )
    })
  }

  async function attempt<T>(work: () => Promise<T>): Promise<T> {
    return work()
  }

  async function guarded(
    step: LeasePoolStep,
    work: () => Promise<unknown>,
    signal?: AbortSignal,
  ): Promise<boolean> {
    try {
      return (await patiently(work, signal)) !== false
    } catch (error) {
      driver.report(error, step)
      return false
    }
  }

  const driver = {
    open: (target: Target, signal: AbortSignal) =>
      patiently(
        () => settings.open(target, { signal }),
        signal,
        (connection) => void driver.close(connection),
      ),
    async retarget(connection: Connection, target: Target, signal: AbortSignal) {
      if (settings.retarget === undefined) return false
      return guarded('retarget', async () => settings.retarget?.(connection, target, { signal }), signal)
    },
    clean(connection: Connection) {
      if (settings.clean === undefined) return true
      try {
        const verdict = settings.clean(connection)
        if (typeof verdict === 'boolean') return verdict
        return guarded('clean', async () => (await verdict) === true)
      } catch (error) {
        driver.report(error, 'clean')
        return false
      }
    },
    async close(connection: Connection) {
      await guarded('close', () => settings.close(connection))
    },
    report(error: unknown, step: LeasePoolStep) {
      errors++
      try {
        settings.onError?.(error, step)
      } catch {
        // A listener's mistake must not upset the count of connections.
      }
    },
    get errors() {
      return errors
    },
  }
  return driver
}
