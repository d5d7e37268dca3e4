/** Stands around one thing that reaches a service; `run` does it. */
export type Around = <Value>(name: string, run: () => Promise<Value>) => Promise<Value>

/** The awaits at which a process may die: before each call, and after it, with its reply on the way. */
export interface Points {
  readonly around: Around
  /** How many were passed. */
  passed(): number
  /** Lets go of whatever stands still, and of all that comes after. */
  thaw(): void
}

/**
 * Stands still for good at one point, counted from 0: what a process has done then is what `kill -9` leaves.
 *
 * @param stopAt the point; `Infinity` never stops
 * @param onStop told which it was
 */
export function createPoints(stopAt: number, onStop: (point: string) => void): Points {
  let passed = 0
  let thaw = (): void => {}
  let frozen = new Promise<void>((resolve) => {
    thaw = resolve
  })

  async function at(point: string): Promise<void> {
    const index = passed++
    if (index === stopAt) onStop(point)
    // Whatever else of this tenant was under way stands still too, or it would do more than the dead can.
    if (index >= stopAt) await frozen
  }

  return {
    async around(name, run) {
      await at(`before ${name}`)
      // A reply that says no is a reply, too.
      const outcome = await run().then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      await at(`after ${name}`)
      if ('error' in outcome) throw outcome.error
      return outcome.value
    },
    passed: () => passed,
    thaw() {
      thaw()
      frozen = Promise.resolve()
    },
  }
}
