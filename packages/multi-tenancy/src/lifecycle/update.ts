import type { OperationStore } from '../catalog/operations.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { notFound } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { TenantId } from '../tenant-id.ts'
import type { BeforeOptions, Lifecycle, OperationOptions } from '../types/lifecycle.ts'
import type { TenantMetadata, TenantRecord } from '../types/record.ts'
import { checkMetadata, mergeMetadata } from './metadata.ts'

interface UpdateParts {
  readonly context: Pick<FactoryContext<unknown, unknown>, 'parse'>
  readonly tenants: TenantStore
  readonly operations: OperationStore
}

/** Runs the operation again that failed last, with the parameters it had. */
export async function retryFailed(
  { context, tenants, operations }: UpdateParts,
  lifecycle: Lifecycle,
  tenantId: string,
  options: OperationOptions = {},
): Promise<TenantRecord> {
  const id = context.parse(tenantId)
  const record = await tenants.latest(id)
  if (record === undefined || record.state === 'purged') throw notFound(id)
  const failed = record.error && (await operations.get(record.error.operation))
  if (record.operation !== undefined || failed === undefined) return record
  const { kind, params } = failed
  const again = { ...options, hooks: params.hooks ?? options.hooks ?? false }
  if (kind === 'migrate') await lifecycle.migrate(id)
  else if (kind === 'purge') await lifecycle.purge(id, { ...again, uid: record.uid })
  else if (kind === 'deprovision') await lifecycle.deprovision(id, { ...again, retention: params.retention })
  else await lifecycle[kind](id, again)
  return (await tenants.latest(id)) ?? record
}

/** Merges metadata into the record; a concurrent change of other members is kept. */
export async function updateMetadata(
  { context, tenants }: UpdateParts,
  tenantId: string,
  metadata: TenantMetadata,
  options: BeforeOptions = {},
): Promise<TenantRecord> {
  const id = context.parse(tenantId)
  checkMetadata(metadata)
  let { before } = options
  for (;;) {
    const record = requireLiving(await tenants.latest(id), id)
    const merged = mergeMetadata(record.metadata, metadata)
    await before?.()
    before = undefined
    const { revision } = record
    const { record: after, changed } = await tenants.update(record, { revision }, { metadata: merged })
    if (changed) return after
  }
}

/** @throws `tenant_not_found` for a tenant that is deleted or being deleted */
function requireLiving(record: TenantRecord | undefined, id: TenantId): TenantRecord {
  const states: readonly string[] = ['deprovisioning', 'deleted', 'purged']
  if (record === undefined || record.superseded || states.includes(record.state)) throw notFound(id)
  return record
}
