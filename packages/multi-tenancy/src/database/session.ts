import { TenancyError } from '../errors.ts'
import type { ExpectedIdentity } from '../types/identity.ts'
import type { LocatedDatabase } from '../types/locate.ts'
import { connectVerified } from './connect.ts'
import type { DatabaseContext, DatabaseSession, StampResult, TenantTarget } from './context.ts'
import { toUnavailable } from './destroy.ts'

/** @param marksReadyWithStamp see `DatabaseSession` */
export function createDatabaseSession<Client, Adapters>(
  context: DatabaseContext<Client, Adapters>,
  { marksReadyWithStamp = false }: { readonly marksReadyWithStamp?: boolean } = {},
): DatabaseSession<Client> {
  const { provider } = context
  const clients = new Map<string, Client>()
  let isUnstamped = false
  let isAccessOpened = false
  let isMarkedDeleted = false
  let stamp: StampResult | undefined

  return {
    marksReadyWithStamp,
    get isUnstamped() {
      return isUnstamped
    },
    get stamp() {
      return stamp
    },
    get isMarkedDeleted() {
      return isMarkedDeleted
    },
    noteCreated() {
      isUnstamped = true
    },
    noteStamped(result) {
      isUnstamped = false
      stamp = result
    },
    noteAccessOpened() {
      isAccessOpened = true
    },
    noteMarkedDeleted() {
      isMarkedDeleted = true
    },
    async connect(target) {
      const key = JSON.stringify(target.locator)
      const existing = clients.get(key)
      if (existing !== undefined) return existing
      const options = {
        provider,
        tenantId: target.id,
        database: toLocatedDatabase(target),
        purpose: 'manage',
        onIdentityMismatch: context.onIdentityMismatch(target.id, target),
        isUnstamped: () => isUnstamped,
      } as const
      const { client } = await context.steps(target.id)('connect', (call) =>
        connectVerified(options, call).catch((cause: unknown) => {
          throw isAccessOpened ? toUnavailable(provider.mapError(cause)) : cause
        }),
      )
      clients.set(key, client)
      return client
    },
  }
}

/** @throws `internal` for a target whose database was never created */
export function toLocatedDatabase({ id, generation, uid, locator }: TenantTarget): LocatedDatabase {
  if (locator === undefined) throw new TenancyError('internal', 'The record has no locator', { tenantId: id })
  return { locator, generation, ...(uid !== undefined && { identity: { tenantId: id, generation, uid } }) }
}

export function toExpectedIdentity({ id, generation, uid }: TenantTarget): ExpectedIdentity {
  return { tenantId: id, generation, uid }
}
