/** Attempts that run concurrently, each on a tenant of its own. */
const CONCURRENCY = 5

/**
 * Tries each call of an operation in turn, by its index from 0.
 *
 * @param attempt returns whether the operation has a call with this index
 * @returns the number of calls
 * @throws the error of the first attempt that fails, once all running attempts have ended
 */
export async function tryEveryCall(attempt: (index: number) => Promise<boolean>): Promise<number> {
  for (let count = 0; ; ) {
    const attempts = Array.from({ length: CONCURRENCY }, (_, offset) => attempt(count + offset))
    for (const result of await Promise.allSettled(attempts)) {
      if (result.status === 'rejected') throw result.reason
      if (!result.value) return count
      count++
    }
  }
}
