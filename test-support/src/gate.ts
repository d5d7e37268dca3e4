/** Holds one step of a test until the test opens the gate, so that concurrent steps run in a known order. */
export interface Gate {
  /** Called by the step to be held: signals its arrival and waits for `open`. */
  pass(): Promise<void>
  /** Resolves when a step has called `pass`. */
  readonly reached: Promise<void>
  /** Resolves when the gate is open. */
  readonly opened: Promise<void>
  /** Lets every waiting and later step pass. Opening twice has no further effect. */
  open(): void
}

/**
 * Creates a closed gate.
 *
 * @example
 * const gate = createGate()
 * const writing = write({ beforeCommit: gate.pass })
 * await gate.reached // the writer is between its statement and its commit
 * expect(await read()).toEqual([])
 * gate.open()
 * await writing
 */
export function createGate(): Gate {
  const arrival = Promise.withResolvers<void>()
  const opening = Promise.withResolvers<void>()
  return {
    pass() {
      arrival.resolve()
      return opening.promise
    },
    reached: arrival.promise,
    opened: opening.promise,
    open: () => opening.resolve(),
  }
}

/** Resolves in the next macrotask: every step that waits for microtasks only has run by then. */
export function runMacrotask(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Returns whether a promise is still pending after one macrotask, or how it has settled. */
export async function getPromiseState(
  promise: Promise<unknown>,
): Promise<'pending' | 'resolved' | 'rejected'> {
  let state: 'pending' | 'resolved' | 'rejected' = 'pending'
  promise.then(
    () => {
      state = 'resolved'
    },
    () => {
      state = 'rejected'
    },
  )
  await runMacrotask()
  return state
}
