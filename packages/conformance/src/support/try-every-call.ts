const AT_ONCE = 5

/**
 * Tries call 0, 1, 2, … of an operation, each on a tenant of its own, some at the same time.
 *
 * @param attempt resolves with whether the operation had a call of that number
 * @returns how many there were
 * @throws what the first attempt that failed threw, when all under way have ended
 */
export async function atEveryCall(attempt: (at: number) => Promise<boolean>): Promise<number> {
  for (let points = 0; ; ) {
    const tries = Array.from({ length: AT_ONCE }, (_, index) => attempt(points + index))
    for (const result of await Promise.allSettled(tries)) {
      if (result.status === 'rejected') throw result.reason
      if (!result.value) return points
      points++
    }
  }
}
