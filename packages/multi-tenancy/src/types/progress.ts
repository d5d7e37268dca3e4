/** Says how far a long step is; in a recorded operation it also prolongs the lease. */
export type Report = (detail: string) => void | Promise<void>

/** What long code of the app's own gets, a hook or a seed, to say that it is alive. */
export interface Progress {
  readonly report: Report
}
