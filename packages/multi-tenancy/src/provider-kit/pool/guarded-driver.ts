import { TenancyError } from '../../errors.ts'
import type { LeasePoolSettings, LeasePoolStep } from './options.ts'

/** The driver's calls. Each one completes in bounded time; only `open` rejects. */
export interface GuardedDriver<Connection, Target> {
  open(target: Target, signal: AbortSignal): Promise<Connection>
  /** False unless the connection certainly belongs to the target now. */
  retarget(connection: Connection, target: Target, signal: AbortSignal): Promise<boolean>
  /** The result is immediate where the driver needs no round trip. */
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
  const runWithDeadline = createDeadlineRunner(settings)
  let errors = 0

  async function runAndReport(
    step: LeasePoolStep,
    work: () => Promise<unknown>,
    signal?: AbortSignal,
  ): Promise<boolean> {
    try {
      return (await runWithDeadline(work, signal)) !== false
    } catch (error) {
      driver.report(error, step)
      return false
    }
  }

  const driver = {
    open: (target: Target, signal: AbortSignal) =>
      runWithDeadline(
        () => settings.open(target, { signal }),
        signal,
        (connection) => void driver.close(connection),
      ),
    async retarget(connection: Connection, target: Target, signal: AbortSignal) {
      if (settings.retarget === undefined) return false
      return runAndReport('retarget', async () => settings.retarget?.(connection, target, { signal }), signal)
    },
    clean(connection: Connection) {
      if (settings.clean === undefined) return true
      try {
        const result = settings.clean(connection)
        if (typeof result === 'boolean') return result
        return runAndReport('clean', async () => (await result) === true)
      } catch (error) {
        driver.report(error, 'clean')
        return false
      }
    },
    async close(connection: Connection) {
      await runAndReport('close', () => settings.close(connection))
    },
    report(error: unknown, step: LeasePoolStep) {
      errors++
      try {
        settings.onError?.(error, step)
      } catch {
        // An error of the listener must not falsify the count of connections.
      }
    },
    get errors() {
      return errors
    },
  }
  return driver
}

type DeadlineRunner = <T>(
  work: () => Promise<T>,
  signal?: AbortSignal,
  onLate?: (value: T) => void,
) => Promise<T>

/**
 * Returns a function that resolves or rejects as the work does, but rejects when the work is not done `closeTimeout` after
 * the signal. `onLate` receives a result that arrives later than that.
 */
function createDeadlineRunner({
  closeTimeout,
  setTimer,
}: Pick<LeasePoolSettings<object, unknown>, 'closeTimeout' | 'setTimer'>): DeadlineRunner {
  const abortedSignal = AbortSignal.abort()
  return (work, signal = abortedSignal, onLate) =>
    new Promise((resolve, reject) => {
      let cancelTimer: (() => void) | undefined
      let isLate = false
      const startTimer = (): void => {
        cancelTimer = setTimer(() => {
          isLate = true
          reject(new TenancyError('timeout', 'The driver did not answer in time'))
        }, closeTimeout)
      }
      if (signal.aborted) startTimer()
      else signal.addEventListener('abort', startTimer, { once: true })
      const cleanUp = (): void => {
        cancelTimer?.()
        signal.removeEventListener('abort', startTimer)
      }
      // Async, so that a call that throws rejects.
      const attempt = async () => work()
      attempt().then(
        (value) => {
          cleanUp()
          if (isLate) onLate?.(value)
          else resolve(value)
        },
        (error) => {
          cleanUp()
          reject(error)
        },
      )
    })
}
