import { TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ExpectedIdentity, Identity, Stamp } from '../types/identity.ts'
import type { LocatedDatabase } from '../types/locate.ts'
import type {
  CallOptions,
  ConnectTarget,
  Locator,
  Row,
  Statement,
  TenantProvider,
} from '../types/provider.ts'
import type { Tenant } from '../types/tenant-factory.ts'
import { assertOwner, checkStamp, readStamp } from './identity.ts'

type Query = (statement: Statement) => Promise<Row[]>

type Purpose = ConnectTarget['purpose']

/** How strictly a stamp is checked. */
const CHECKS: Readonly<Record<Purpose, (stamp: Stamp | undefined, expected: ExpectedIdentity) => void>> = {
  /** This tenant's stamp, complete, and no migration left half applied. */
  serve: checkStamp,
  /** Another tenant's stamp is refused; a database that is being created or deleted is accepted. */
  manage(stamp, expected) {
    if (stamp !== undefined) assertOwner(stamp, expected)
  },
}

export interface ConnectVerifiedOptions<Client> {
  readonly provider: TenantProvider<Client>
  readonly tenantId: TenantId
  readonly database: LocatedDatabase
  readonly purpose: Purpose
  /** Called when cached data is stale: with the error of a failed identity check, or without when the database is gone. */
  readonly onIdentityMismatch: (error?: TenancyError) => void
  /** Called before each use of a client that serves. */
  readonly beforeUse?: (() => void | Promise<void>) | undefined
  /** The database was created just now, so it has no stamp to check. */
  readonly isUnstamped?: (() => boolean) | undefined
  /** The stamp was read before: a client without physical connections is not checked again. */
  readonly isVerified?: boolean | undefined
}

/** A client, with the identity that was read from the stamp if it was read. */
export interface VerifiedClient<Client> {
  readonly client: Client
  readonly identity: Identity | undefined
}

/**
 * Connects to a tenant database so that every physical connection is checked before its first use: by the provider
 * through `verify`, or here for a client without physical connections.
 *
 * @throws `wrong_tenant`, `stale_tenant`; for `serve` also `tenant_not_ready`, `tenant_not_found`, `migration_dirty`
 */
export async function connectVerified<Client>(
  options: ConnectVerifiedOptions<Client>,
  call: CallOptions,
): Promise<VerifiedClient<Client>> {
  const { provider, tenantId, database, purpose, onIdentityMismatch, beforeUse } = options
  const { isUnstamped = () => false, isVerified = false } = options
  const { dialect } = provider.capabilities
  const { generation } = database
  // Without a catalog the uid is learnt from the first stamp; each later connection must find the same.
  let identity = database.identity
  let verified = false

  async function verify(query: Query): Promise<void> {
    if (isUnstamped()) return
    const stamp = await readStamp(dialect, query)
    try {
      CHECKS[purpose](stamp, { tenantId, generation, uid: identity?.uid })
    } catch (cause) {
      const error = TenancyError.from(cause)
      if (error.code === 'wrong_tenant' || error.code === 'stale_tenant') onIdentityMismatch(error)
      throw error
    }
    if (stamp !== undefined) identity ??= { tenantId, generation: stamp.generation, uid: stamp.uid }
    verified = true
  }

  const client = await provider.connect(
    {
      locator: database.locator,
      purpose,
      verify,
      onDatabaseGone: () => onIdentityMismatch(),
      ...(beforeUse && { beforeUse }),
    },
    call,
  )
  if (!verified && !isVerified) await verify((statement) => provider.query(client, statement))
  return { client, identity }
}

/** A client of a database whose stamp the caller reads, whichever tenant it names. */
export function connectUnverified<Client>(
  provider: TenantProvider<Client>,
  locator: Locator,
  call: CallOptions,
): Promise<Client> {
  return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
}

/** The tenant for callbacks of the app. */
export function toTenant({ id, generation }: Pick<Tenant, 'id' | 'generation'>): Tenant {
  return Object.freeze({ id, generation })
}
