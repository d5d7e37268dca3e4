import type { TenancyError } from '../errors.ts'

/** The circumstances of an error. */
export interface ErrorContext {
  /**
   * `resolve`, `authorize`, `open` or `request` for a request (`request`: an error of ours that its handler threw);
   * `provision`, `deprovision`, `migrate`, … for an operation on a tenant; `connection` for one of a provider's pool;
   * `refresh` for the state of tenants that is read in the background; `hook` for an `after…` hook.
   */
  readonly operation: string
  readonly tenantId?: string | undefined
  /** The attempt that failed, from 1, and the milliseconds until the next one. Absent: there is no next one. */
  readonly retry?: { readonly attempt: number; readonly delay: number } | undefined
}

/** Receives server faults. What it throws is logged, and changes nothing else. */
export type OnError = (error: TenancyError, context: ErrorContext) => void | Promise<void>

/** Reports an error, unless it is a mistake of a client, the state of a tenant, or was reported before. */
export type ReportError = (cause: unknown, context: ErrorContext) => void
