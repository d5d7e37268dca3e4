import { TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ExpectedIdentity, Stamp } from '../types/identity.ts'
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

/** How strictly a connection is checked before its first use. */
const CHECKS: Readonly<Record<Purpose, (stamp: Stamp | undefined, expected: ExpectedIdentity) => void>> = {
  /** Stamped as this tenant's, complete, not half migrated. */
  serve: checkStamp,
  /** Another's stamp is refused, but a database still being made or deleted is reachable. */
  manage(stamp, expected) {
    if (stamp !== undefined) assertOwner(stamp, expected)
  },
}

/**
 * Connects to a tenant database so that every physical connection is checked before its first use: the
 * provider's own connections through `verify`, a client without connections here.
 *
 * @param onTrouble what is cached of the tenant is no longer true; with the error of a failed identity check
 * @param admit asked before each use of a client that serves
 */
export async function connectVerified<Client>(
  provider: TenantProvider<Client>,
  tenantId: TenantId,
  database: LocatedDatabase,
  purpose: Purpose,
  onTrouble: (error?: TenancyError) => void,
  options: CallOptions,
  admit?: () => void | Promise<void>,
): Promise<Client> {
  let verified = false
  const { dialect } = provider.capabilities

  async function verify(query: Query): Promise<void> {
    if (database.fresh) return
    const stamp = await readStamp(dialect, query)
    try {
      CHECKS[purpose](stamp, { tenantId, generation: database.generation, uid: database.identity?.uid })
    } catch (error) {
      const { code } = TenancyError.from(error)
      if (code === 'wrong_tenant' || code === 'stale_tenant') onTrouble(error as TenancyError)
      throw error
    }
    if (stamp !== undefined && database.identity === undefined) {
      database.identity = { tenantId, generation: stamp.generation, uid: stamp.uid }
    }
    verified = true
    // Whoever manages checks less.
    if (purpose === 'serve') database.verified = true
  }

  const client = await provider.connect(
    {
      locator: database.locator,
      purpose,
      verify,
      onDatabaseGone: () => onTrouble(),
      ...(admit && { beforeUse: admit }),
    },
    options,
  )
  if (!verified && !database.fresh && !(purpose === 'serve' && database.verified))
    await verify((statement) => provider.query(client, statement))
  return client
}

/** A client of a database whose stamp the caller reads for itself, whoever's it may be. */
export function connectUnverified<Client>(
  provider: TenantProvider<Client>,
  locator: Locator,
  options: CallOptions,
): Promise<Client> {
  return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, options)
}

/** The tenant as callbacks see it. */
export function toTenant(id: TenantId, { generation }: LocatedDatabase): Tenant {
  return Object.freeze({ id, generation })
}
