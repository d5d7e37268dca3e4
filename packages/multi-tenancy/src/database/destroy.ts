import { TenancyError, type TenancyErrorCode } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ExpectedIdentity } from '../types/identity.ts'
import type { CallOptions, Locator, TenantProvider } from '../types/provider.ts'
import { connectUnverified } from './connect.ts'
import { assertOwner } from './identity.ts'
import { findStamp, setStampState } from './stamp.ts'

/** The codes that say that a database is not the expected one. */
export const FOREIGN: ReadonlySet<TenancyErrorCode> = new Set(['wrong_tenant', 'stale_tenant', 'name_taken'])

/** The code of a provider whose `setAccess` closed the database. */
const ACCESS_CLOSED: TenancyErrorCode = 'tenant_suspended'

/**
 * Changes the stamp to `deprovisioning`. A database that holds nothing has no stamp and needs none.
 *
 * @throws `wrong_tenant`, `stale_tenant` or `name_taken` for a database that is not the expected one
 */
export async function markForDeletion<Client>(
  provider: TenantProvider<Client>,
  expected: ExpectedIdentity,
  locator: Locator,
  call: CallOptions,
): Promise<void> {
  const { tenantId } = expected
  const mark = async (): Promise<void> => {
    const client = await connectUnverified(provider, locator, call)
    const stamp = await findStamp(provider, client, tenantId)
    if (stamp === undefined) return
    assertOwner(stamp, expected)
    await setStampState(provider, client, { tenantId, uid: stamp.uid }, 'deprovisioning')
  }
  await mark().catch(async (cause: unknown) => {
    const { code } = provider.mapError(cause)
    if (provider.setAccess === undefined || code !== ACCESS_CLOSED) throw cause
    // A deletion that crashed had closed it. Opening it again serves no request: its stamp or its record forbids that.
    await provider.setAccess(locator, 'open', call)
    await mark().catch(async (failure: unknown) => {
      const error = toUnavailable(provider.mapError(failure))
      // Another tenant's database must stay as closed as it was.
      if (FOREIGN.has(error.code)) await provider.setAccess?.(locator, 'closed', call)
      throw error
    })
  })
}

/** What `dropDatabase` deletes. */
export interface DroppableDatabase {
  readonly id: TenantId
  readonly name: string
  readonly locator: Locator
}

/** Deletes a database that was marked for deletion; resolves when the service no longer finds it. */
export async function dropDatabase<Client>(
  provider: TenantProvider<Client>,
  { id, name, locator }: DroppableDatabase,
  call: CallOptions,
): Promise<void> {
  await provider.drop(locator, call)
  const remaining = await provider.find(name, call)
  // Another locator under the name is a database that was created since.
  if (remaining === undefined || JSON.stringify(remaining) !== JSON.stringify(locator)) return
  const message = `The provider's drop() resolved, but find() still returns the database ${JSON.stringify(name)}`
  throw new TenancyError('provider_unavailable', message, { tenantId: id, retryAfter: 1 })
}

/** A retryable error where access was opened and the service still refuses: it may need a moment on all its machines. */
export function toUnavailable(error: TenancyError): TenancyError {
  if (error.code !== ACCESS_CLOSED) return error
  const message = 'Access was opened, but the service still refuses connections'
  return new TenancyError('provider_unavailable', message, { cause: error, retryAfter: 1 })
}
