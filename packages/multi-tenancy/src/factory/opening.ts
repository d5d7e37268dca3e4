import type { CallOptions, Row, Statement, TenantProvider } from '../contract.ts'
import type { Tenant } from '../database-factory.ts'
import { TenancyError } from '../errors.ts'
import { assertOwner, checkStamp, type ExpectedIdentity, readStamp, type Stamp } from '../identity.ts'
import type { TenantId } from '../tenant-id.ts'
import type { KnownDatabase } from './directory.ts'

type Query = (statement: Statement) => Promise<Row[]>

/** How strictly a connection is checked before its first use. */
export type Check = (stamp: Stamp | undefined, expected: ExpectedIdentity) => void

/** Serving: stamped as this tenant's, complete, not half migrated. */
export const serving: Check = checkStamp

/** Lifecycle work: another's stamp is refused, but a database still being made or deleted is reachable. */
export const managing: Check = (stamp, expected) => {
  if (stamp !== undefined) assertOwner(stamp, expected)
}

/**
 * Connects to a tenant database so that every physical connection is checked before its first use: the
 * provider's own connections through `verify`, a client without connections here.
 *
 * @param onTrouble what is cached of the tenant is no longer true; with the error of a failed identity check
 * @param admit asked before each use of the client; work on the tenant's life asks nobody
 */
export async function connectChecked<Client>(
  provider: TenantProvider<Client>,
  tenantId: TenantId,
  database: KnownDatabase,
  check: Check,
  onTrouble: (error?: TenancyError) => void,
  options: CallOptions,
  admit?: () => void | Promise<void>,
): Promise<Client> {
  let verified = false
  const { dialect } = provider.capabilities

  async function verify(query: Query): Promise<void> {
    const stamp = await readStamp(dialect, query)
    try {
      check(stamp, { tenantId, generation: database.generation, uid: database.identity?.uid })
    } catch (error) {
      const { code } = TenancyError.from(error)
      if (code === 'wrong_tenant' || code === 'stale_tenant') onTrouble(error as TenancyError)
      throw error
    }
    if (stamp !== undefined && database.identity === undefined) {
      database.identity = { tenantId, generation: stamp.generation, uid: stamp.uid }
    }
    verified = true
    // Whoever serves asks to be admitted; other work checks less.
    if (admit) database.verified = true
  }

  const client = await provider.connect(
    { locator: database.locator, verify, lost: () => onTrouble(), ...(admit && { admit }) },
    options,
  )
  if (!verified && !(admit && database.verified))
    await verify((statement) => provider.query(client, statement))
  return client
}

/** The tenant as callbacks see it. */
export function tenantOf(id: TenantId, { generation }: KnownDatabase): Tenant {
  return Object.freeze({ id, generation })
}
