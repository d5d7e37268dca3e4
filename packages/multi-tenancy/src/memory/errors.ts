import { TenancyError } from '../errors.ts'

/** The coded error for what SQLite threw. */
export function mapError(cause: unknown): TenancyError {
  if (cause instanceof TenancyError) return cause
  const message = cause instanceof Error ? cause.message : 'The database failed'
  if (/database is (?:locked|busy)/.test(message)) {
    return new TenancyError('provider_unavailable', message, { cause, retryAfter: 1 })
  }
  if (/destroyed|not open/.test(message)) {
    return new TenancyError('stale_tenant', 'The database was deleted', { cause })
  }
  return new TenancyError('provider_rejected', message, { cause })
}
