/** Decides about one request; `run` sends it to the service. */
export type Around = <Value>(name: string, run: () => Promise<Value>) => Promise<Value>

/** The awaits at which a process can die: before each request, and after it, when its reply is on the way. */
export interface PausePoints {
  readonly around: Around
  /** The number of points that were reached. */
  count(): number
  /** Lets every paused and later request continue. */
  resume(): void
}

/**
 * Pauses at one point and never continues: what the process has done by then is what `kill -9` leaves behind.
 *
 * @param pauseAt the index of the point, from 0; `Infinity` never pauses
 * @param onPause receives the name of the point
 */
export function createPausePoints(pauseAt: number, onPause: (point: string) => void): PausePoints {
  let count = 0
  const resumed = Promise.withResolvers<void>()

  async function reach(point: string): Promise<void> {
    const index = count++
    if (index === pauseAt) onPause(point)
    // Later points pause too, because a dead process starts no further request.
    if (index >= pauseAt) await resumed.promise
  }

  return {
    async around(name, run) {
      await reach(`before ${name}`)
      // An error is a reply as well, which is on the way at the second point.
      const outcome = await run().then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      await reach(`after ${name}`)
      if ('error' in outcome) throw outcome.error
      return outcome.value
    },
    count: () => count,
    resume: () => resumed.resolve(),
  }
}

/** Passes every request on without a pause. */
export const withoutPauses: Around = (_name, run) => run()
