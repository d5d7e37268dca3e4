/** Somebody's `acquire`, from its call to its answer. */
export interface Waiter<Target, Lease> {
  readonly key: string
  readonly target: Target
  /** Answered, or gone. */
  readonly settled: boolean
  /** False when it was already answered, or gone. */
  resolve(lease: Lease): boolean
  reject(error: unknown): boolean
  /** Rejects with the error of `onTimeout` after `ms` milliseconds, unless `stopTimer` comes first. */
  startTimer(
    setTimer: (callback: () => void, ms: number) => () => void,
    ms: number,
    onTimeout: () => unknown,
  ): void
  /** Its turn has come. */
  stopTimer(): void
}

/** @param leave run once when it was answered or is gone, to take it out of the queue */
export function createWaiter<Target, Lease>(
  request: { key: string; target: Target; signal: AbortSignal | undefined },
  answer: { resolve: (lease: Lease) => void; reject: (error: unknown) => void },
  leave: (waiter: Waiter<Target, Lease>) => void,
): Waiter<Target, Lease> {
  const { key, target, signal } = request
  let cancel: (() => void) | undefined
  const abort = (): void => void waiter.reject(signal?.reason)

  function settle(): boolean {
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
      const first = settle()
      if (first) answer.resolve(lease)
      return first
    },
    reject(error: unknown) {
      const first = settle()
      if (first) answer.reject(error)
      return first
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
