/** One call of `acquire`, until it resolves or rejects. */
export interface Waiter<Target, Lease> {
  readonly key: string
  readonly target: Target
  /** The call was resolved, rejected or aborted. */
  readonly settled: boolean
  /** False when the waiter was settled already. */
  resolve(lease: Lease): boolean
  reject(error: unknown): boolean
  /** Rejects with the error of `onTimeout` after `ms` milliseconds, unless `stopTimer` comes first. */
  startTimer(
    setTimer: (callback: () => void, ms: number) => () => void,
    ms: number,
    onTimeout: () => unknown,
  ): void
  /** Called when the waiter's turn has come: from then on `queueTimeout` does not apply. */
  stopTimer(): void
}

/** @param leave called once when the waiter is settled, to remove it from the queue */
export function createWaiter<Target, Lease>(
  request: { key: string; target: Target; signal: AbortSignal | undefined },
  answer: { resolve: (lease: Lease) => void; reject: (error: unknown) => void },
  leave: (waiter: Waiter<Target, Lease>) => void,
): Waiter<Target, Lease> {
  const { key, target, signal } = request
  let cancel: (() => void) | undefined
  const abort = (): void => void waiter.reject(signal?.reason)

  function complete(): boolean {
    if (waiter.settled) return false
    waiter.settled = true
    cancel?.()
    signal?.removeEventListener('abort', abort)
    leave(waiter)
    return true
  }

  const waiter = {
    key,
    target,
    settled: false,
    resolve(lease: Lease) {
      const isFirst = complete()
      if (isFirst) answer.resolve(lease)
      return isFirst
    },
    reject(error: unknown) {
      const isFirst = complete()
      if (isFirst) answer.reject(error)
      return isFirst
    },
    startTimer(
      setTimer: (callback: () => void, ms: number) => () => void,
      ms: number,
      onTimeout: () => unknown,
    ) {
      cancel = setTimer(() => waiter.reject(onTimeout()), ms)
    },
    stopTimer: () => cancel?.(),
  }
  signal?.addEventListener('abort', abort)
  return waiter
}
