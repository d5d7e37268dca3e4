/** Runs work once for all who ask for the same key while it runs. */
export interface SingleFlight<Value> {
  /** `work` learns through `current()` whether its result may be kept: no longer once the key was forgotten. */
  run(key: string, work: (current: () => boolean) => Promise<Value>): Promise<Value>
  /** Lets the next caller start anew; those already waiting get what they waited for. */
  forget(key: string): void
  /** Resolves when what runs for the key now has ended, however it ended. */
  settled(key: string): Promise<void>
}

/** @param shared false where one request must not await another's promise (Workers): everybody runs alone */
export function createSingleFlight<Value>(shared: boolean): SingleFlight<Value> {
  const flights = new Map<string, { promise?: Promise<Value> }>()
  return {
    run(key, work) {
      if (!shared) return work(() => true)
      const running = flights.get(key)?.promise
      if (running !== undefined) return running
      const flight: { promise?: Promise<Value> } = {}
      flights.set(key, flight)
      flight.promise = work(() => flights.get(key) === flight).finally(() => {
        if (flights.get(key) === flight) flights.delete(key)
      })
      return flight.promise
    },
    forget(key) {
      flights.delete(key)
    },
    async settled(key) {
      await flights.get(key)?.promise?.catch(() => {})
    },
  }
}
