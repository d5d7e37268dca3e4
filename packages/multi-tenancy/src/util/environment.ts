/** Clock, timers, randomness and runtime, which a test can replace. */
export interface Environment {
  /**
   * `workers` keeps nothing with I/O from one request to the next and shares no promise between requests
   * (workerd: a promise of another request may never settle).
   *
   * @default detected
   */
  readonly runtime: 'node' | 'workers'
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms` milliseconds. */
  sleep(ms: number): Promise<void>
  /** From 0 to below 1, for jitter. */
  random(): number
}

/** The real environment, with the parts that a test replaces. */
export function createEnvironment(overrides: Partial<Environment> = {}): Environment {
  return {
    runtime: globalThis.navigator?.userAgent === 'Cloudflare-Workers' ? 'workers' : 'node',
    now: Date.now,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    random: Math.random,
    ...overrides,
  }
}
