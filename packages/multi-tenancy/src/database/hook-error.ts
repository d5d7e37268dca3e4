import { TenancyError } from '../errors.ts'

/** The coded error of a hook. */
export function hookError(cause: unknown, tenantId: string, step: string): TenancyError {
  if (cause instanceof TenancyError) return cause
  const { detail } = TenancyError.from(cause)
  return new TenancyError('internal', `${step}: ${detail}`, { cause, tenantId, step })
}
