import type { TenantStore } from '../catalog/tenants.ts'
import { connectUnverified } from '../database/connect.ts'
import { readStamp } from '../database/identity.ts'
import { notFound, TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Stamp } from '../types/identity.ts'
import type { Locator } from '../types/provider.ts'
import type { TenantRecord } from '../types/record.ts'
import { conflict } from './conflict.ts'

/**
 * Writes the record of a database that was created before there was a catalog, or whose record was lost. Its stamp must
 * name this tenant and be ready.
 *
 * @throws `tenant_not_found`, `wrong_tenant`, `tenant_not_ready`, `conflict`
 */
export async function adoptTenant<Client, Adapters>(
  context: FactoryContext<Client, Adapters>,
  tenants: TenantStore,
  id: TenantId,
): Promise<TenantRecord> {
  const latest = await tenants.latest(id)
  // A provision that found the database and refused it left such a record.
  const isRefused =
    latest?.state === 'failed' && latest.readyAt === undefined && latest.operation === undefined
  if (latest !== undefined && !isRefused) throw conflict('The tenant already has a record', id)
  const generation = latest?.generation ?? 1
  const name = latest?.name ?? (await context.nameTenant(id, generation))
  const { locator, stamp } = await inspect(context, { id, generation, name })
  const now = context.environment.now()
  const adopted = { uid: stamp.uid, locator, state: 'active', readyAt: now, error: undefined } as const
  if (latest !== undefined) {
    const guard = { states: ['failed'] as const, operation: null }
    const { record, changed } = await tenants.update(latest, guard, adopted)
    if (changed) return record
    throw changedConcurrently(id)
  }
  const record = await tenants.insert({
    id,
    generation,
    name,
    placement: undefined,
    superseded: false,
    operation: undefined,
    lastOperation: undefined,
    schemaVersion: undefined,
    metadata: {},
    revision: crypto.randomUUID(),
    createdAt: now,
    updatedAt: now,
    deletedAt: undefined,
    deletedFrom: undefined,
    purgeAfter: undefined,
    ...adopted,
  })
  if (record.uid !== stamp.uid) throw changedConcurrently(id)
  return record
}

/** The database of the name, with a stamp that names this incarnation and is ready. */
async function inspect<Client, Adapters>(
  { provider, steps }: FactoryContext<Client, Adapters>,
  { id, generation, name }: Pick<TenantRecord, 'id' | 'generation' | 'name'>,
): Promise<{ readonly locator: Locator; readonly stamp: Stamp }> {
  const { locator, stamp } = await steps(id)('adopt', async (call) => {
    const database = await provider.find(name, call)
    if (database === undefined) throw notFound(id)
    const client = await connectUnverified(provider, database, call)
    const { dialect } = provider.capabilities
    return { locator: database, stamp: await readStamp(dialect, (read) => provider.query(client, read)) }
  })
  if (stamp === undefined || stamp.tenantId !== id || stamp.generation !== generation) {
    const message = "The database does not carry this tenant's identity stamp"
    throw new TenancyError('wrong_tenant', message, { tenantId: id })
  }
  if (stamp.state !== 'ready') {
    const message = `The database is not ready: its identity stamp says ${stamp.state}`
    throw new TenancyError('tenant_not_ready', message, { tenantId: id })
  }
  return { locator, stamp }
}

function changedConcurrently(id: TenantId): TenancyError {
  return conflict('The tenant was changed concurrently', id)
}
