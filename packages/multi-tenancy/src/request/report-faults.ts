import type { Context, Env, MiddlewareHandler } from 'hono'
import { TenancyError } from '../errors.ts'
import type { ReportError } from '../types/error-report.ts'

/** What a middleware does before it goes on to the next one: named in reports. */
type Operation = 'resolve' | 'authorize' | 'open'

/**
 * A middleware that reports the server faults of its own work, and errors of ours that a later handler threw. What it
 * throws has a code.
 *
 * @param before the middleware's work; calls `begin` as it goes from one operation to the next
 * @param after run once the handlers are done
 */
export function reportFaults<E extends Env>(
  reportError: ReportError,
  before: (c: Context, begin: (operation: Operation) => void) => Promise<void>,
  after?: (c: Context) => void,
): MiddlewareHandler<E> {
  return async (c, next) => {
    let operation: Operation = 'resolve'
    try {
      await before(c, (name) => {
        operation = name
      })
    } catch (cause) {
      const error = TenancyError.from(cause)
      reportError(error, { operation, tenantId: error.tenantId ?? c.get('tenant_id' as never) })
      throw error
    }
    await next()
    // Hono hands the error of a handler to `app.onError`, and leaves it here.
    if (c.error instanceof TenancyError)
      reportError(c.error, {
        operation: 'request',
        tenantId: c.error.tenantId ?? c.get('tenant_id' as never),
      })
    after?.(c)
  }
}
