/** An emulator that runs until it is closed. */
export interface Running {
  /** What its user needs to know, to be printed. */
  readonly lines: readonly string[]
  close(): Promise<void>
}

/** One sub-command of `tenantry-emulators`. */
export interface Command {
  readonly name: string
  /** Its name and options, as the usage shows them. */
  readonly usage: string
  /** @throws UsageError for arguments it does not know */
  start(args: readonly string[]): Promise<Running>
}

/** A mistake in the arguments; the usage is printed with it. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UsageError'
  }
}
