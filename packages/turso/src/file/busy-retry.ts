import { isBusy } from '../libsql/sql-errors.ts'

/** How long to wait for a lock that another connection holds. */
export interface Patience {
  /** The clock's time at which a wait that begins now is over. */
  deadline(): number
  isOver(deadline: number): boolean
  /**
   * Repeats `work` while it fails for that lock. The event loop goes on meanwhile, as it must: the holder may be in this
   * very process.
   */
  wait<Result>(work: () => Promise<Result>, deadline: number): Promise<Result>
}

const FIRST_DELAY = 1
const MAX_DELAY = 25

/** @param timeout milliseconds */
export function createPatience(
  timeout: number,
  { now, sleep }: { now(): number; sleep(ms: number): Promise<void> },
): Patience {
  const isOver = (deadline: number, delay = FIRST_DELAY): boolean => now() + delay > deadline
  return {
    isOver,
    deadline: () => now() + timeout,
    async wait(work, deadline) {
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
