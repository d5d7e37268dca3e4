import type { TenantRef } from '../catalog/tenant-reads.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { connectUnverified } from '../database/connect.ts'
import { readStamp } from '../database/identity.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Stamp } from '../types/identity.ts'
import type { ListedDatabase, Locator } from '../types/provider.ts'
import type { TenantRecord } from '../types/record.ts'

type Context = FactoryContext<any, any>

/** Stands for the whole fleet in errors, which name a tenant. */
export const FLEET = 'fleet' as TenantId

const PAGE_SIZE = 500

/** Every record of the catalog, by physical name. */
export async function readRecords(tenants: TenantStore): Promise<Map<string, TenantRecord>> {
  const records = new Map<string, TenantRecord>()
  let after: TenantRef | undefined
  for (;;) {
    const page = await tenants.listAll(after, PAGE_SIZE)
    for (const record of page) records.set(record.name, record)
    after = page.at(-1)
    if (page.length < PAGE_SIZE) return records
  }
}

/** Everything that the service lists under the factory's prefix, by physical name. */
export async function readDatabases({
  provider,
  prefix,
  steps,
}: Context): Promise<Map<string, ListedDatabase>> {
  const databases = new Map<string, ListedDatabase>()
  let cursor: string | undefined
  do {
    const query = cursor === undefined ? { prefix } : { prefix, cursor }
    const page = await steps(FLEET)('list', (call) => provider.list(query, call))
    for (const database of page.databases) {
      const earlier = databases.get(database.name)
      // A database and a leftover of the same name: the database counts.
      if (earlier === undefined || earlier.leftover !== undefined) databases.set(database.name, database)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return databases
}

/** The stamp of a database, whichever tenant it names. */
export function inspectStamp(
  { provider, steps }: Context,
  name: string,
  locator: Locator,
): Promise<Stamp | undefined> {
  return steps(FLEET)('inspect', async (call) => {
    const client = await connectUnverified(provider, locator, call)
    return readStamp(provider.capabilities.dialect, (read) => provider.query(client, read)).catch((cause) => {
      const error = provider.mapError(cause)
      throw new TenancyError(error.code, `${name}: ${error.detail}`, { cause: error })
    })
  })
}
