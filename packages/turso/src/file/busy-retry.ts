import { isBusy } from '../libsql/sql-errors.ts'

/** Repeats work that fails because another connection holds a lock. */
export interface BusyRetry {
  /** The time, on the clock, at which a wait that begins now ends. */
  deadline(): number
  isOver(deadline: number): boolean
  /**
   * Runs `work` again while it fails for the lock, until the deadline. The event loop continues in between, as it must:
   * the connection that holds the lock may be in this process.
   */
  run<Result>(work: () => Promise<Result>, deadline: number): Promise<Result>
}

const FIRST_DELAY = 1
const MAX_DELAY = 25

/** @param timeout milliseconds */
export function createBusyRetry(
  timeout: number,
  { now, sleep }: { now(): number; sleep(ms: number): Promise<void> },
): BusyRetry {
  const isOver = (deadline: number, delay = FIRST_DELAY): boolean => now() + delay > deadline
  return {
    isOver,
    deadline: () => now() + timeout,
    async run(work, deadline) {
      for (let delay = FIRST_DELAY; ; delay = Math.min(delay * 2, MAX_DELAY)) {
        try {
          return await work()
        } catch (error) {
          if (!isBusy(error) || isOver(deadline, delay)) throw error
          await sleep(delay)
        }
      }
    },
  }
}
