import type { TenantStore } from '../catalog/tenants.ts'
import { connectUnverified } from '../database/connect.ts'
import { readStamp } from '../database/identity.ts'
import { notFound, TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { TenantId } from '../tenant-id.ts'
import type { TenantRecord } from '../types/record.ts'
import { conflict } from './operations.ts'

/**
 * Writes the record of a database made before there was a catalog, or whose record was lost. What counts is its
 * stamp: it must say this tenant, and be ready.
 *
 * @throws `tenant_not_found`, `wrong_tenant`, `tenant_not_ready`, `conflict`
 */
export async function adoptTenant<Client, Adapters>(
  { provider, nameTenant, steps, environment }: FactoryContext<Client, Adapters>,
  tenants: TenantStore,
  id: TenantId,
): Promise<TenantRecord> {
  const latest = await tenants.latest(id)
  // A provision that found the database and would not take it left such a record behind.
  const refused = latest?.state === 'failed' && latest.readyAt === undefined && latest.operation === undefined
  if (latest !== undefined && !refused) throw conflict('The tenant has a record', id)
  const generation = latest?.generation ?? 1
  const name = latest?.name ?? (await nameTenant(id, generation))
  const found = await steps(id)('adopt', async (call) => {
    const locator = await provider.find(name, call)
    if (locator === undefined) throw notFound(id)
    const client = await connectUnverified(provider, locator, call)
    const stamp = await readStamp(provider.capabilities.dialect, (read) => provider.query(client, read))
    return { locator, stamp }
  })
  const { locator, stamp } = found
  if (stamp === undefined || stamp.tenantId !== id || stamp.generation !== generation) {
    throw new TenancyError('wrong_tenant', 'The database is not stamped as this tenant’s', { tenantId: id })
  }
  if (stamp.state !== 'ready') {
    throw new TenancyError('tenant_not_ready', 'The database is not complete', { tenantId: id })
  }
  const now = environment.now()
  const adopted = {
    uid: stamp.uid,
    locator: JSON.stringify(locator),
    state: 'active',
    ready_at: now,
    error: null,
  }
  if (latest !== undefined) {
    const { record, changed } = await tenants.update(latest, { states: ['failed'], operation: null }, adopted)
    if (changed) return record
    throw conflict('The tenant changed meanwhile', id)
  }
  const record = await tenants.insert({
    tenant_id: id,
    generation,
    name,
    placement: null,
    superseded: 0,
    operation_id: null,
    last_operation_id: null,
    schema_version: null,
    metadata: '{}',
    revision: crypto.randomUUID(),
    created_at: now,
    updated_at: now,
    deleted_at: null,
    deleted_from: null,
    purge_after: null,
    ...adopted,
  })
  if (record.uid !== stamp.uid) throw conflict('The tenant changed meanwhile', id)
  return record
}
