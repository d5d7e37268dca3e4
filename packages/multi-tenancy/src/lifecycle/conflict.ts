import { TenancyError } from '../errors.ts'
import type { OperationKind } from '../types/record.ts'

/** @param retryAfter seconds */
export function conflict(message: string, tenantId?: string, retryAfter?: number): TenancyError {
  return new TenancyError('conflict', message, {
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

/** The error of a call that another operation on the tenant stands in the way of. */
export function operationInProgress(kind: OperationKind, tenantId: string): TenancyError {
  return conflict(`Another operation on the tenant is under way: ${kind}`, tenantId, 5)
}
