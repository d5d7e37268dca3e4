/** Runs work once for all callers of the same key while it runs. */
export interface SingleFlight<Value> {
  /** `work` learns through `current()` whether its result may be kept: no longer once the key was forgotten. */
  run(key: string, work: (current: () => boolean) => Promise<Value>): Promise<Value>
  /** Lets the next caller start its own work; callers that already wait still receive the result. */
  forget(key: string): void
  /** Resolves when what runs for the key now has ended, however it ended. */
  settled(key: string): Promise<void>
}

export interface SingleFlightOptions {
  /** False where one request must not await a promise of another one (Workers): then every caller runs its own work. */
  readonly isShared: boolean
}

export function createSingleFlight<Value>({ isShared }: SingleFlightOptions): SingleFlight<Value> {
  const flights = new Map<string, { promise?: Promise<Value> }>()
  return {
    run(key, work) {
      if (!isShared) return work(() => true)
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
