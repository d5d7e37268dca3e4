import { isBusy } from '../sql-errors.ts'

/** Repeats `work` while another connection holds the lock it needs. Its failure must have changed nothing. */
export type Patience = <Result>(
  work: () => Promise<Result>,
  again?: (error: unknown) => boolean,
) => Promise<Result>

const DELAYS = [1, 2, 4, 8, 16] as const
const MAX_DELAY = 25

/** @param timeout milliseconds to try for */
export function createPatience(
  timeout: number,
  { now, sleep }: { now(): number; sleep(ms: number): Promise<void> },
): Patience {
  return async (work, again = isBusy) => {
    const deadline = now() + timeout
    for (let attempt = 0; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        const delay = DELAYS[attempt] ?? MAX_DELAY
        if (!again(error) || now() + delay > deadline) throw error
        await sleep(delay)
      }
    }
  }
}

/** In a transaction whose snapshot is outdated no waiting helps: only a new transaction does. */
export function isBusyButCurrent(error: unknown): boolean {
  return isBusy(error) && (error as { rawCode?: number }).rawCode !== 517
}
