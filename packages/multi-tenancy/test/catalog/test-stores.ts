import type { Kysely } from 'kysely'
import { openCatalogDatabase } from '../../src/catalog/connection.ts'
import { createOperationStore, type NewOperation, type OperationStore } from '../../src/catalog/operations.ts'
import type { CatalogTables, TenantRow } from '../../src/catalog/schema.ts'
import { createTenantStore, type Ready, type TenantStore } from '../../src/catalog/tenants.ts'
import type { TenantId } from '../../src/tenant-id.ts'
import type { Dialect } from '../../src/types/provider.ts'
import { createEnvironment, type Environment } from '../../src/util/environment.ts'

export interface Stores {
  readonly ready: Ready
  readonly tenants: TenantStore
  readonly operations: OperationStore
  readonly db: Kysely<CatalogTables>
}

/** The stores over a database, as one process has them. */
export function storesOf(
  db: Kysely<any>,
  dialect: Dialect,
  environment: Environment = createEnvironment({ sleep: async () => {} }),
): Stores {
  const { ready } = openCatalogDatabase({ db, dialect })
  return {
    ready,
    db,
    tenants: createTenantStore(ready, environment),
    operations: createOperationStore(ready, environment),
  }
}

export function asId(text: string): TenantId {
  return text as TenantId
}

/** A row of an active tenant. */
export function tenantRow(id: string, changes: Partial<TenantRow> = {}): TenantRow {
  const now = Date.now()
  return {
    tenant_id: id,
    generation: 1,
    uid: crypto.randomUUID(),
    name: `tenant_${id}_${changes.generation ?? 1}`,
    locator: '{"name":"x"}',
    placement: null,
    state: 'active',
    superseded: 0,
    operation_id: null,
    last_operation_id: null,
    schema_version: null,
    metadata: '{}',
    error: null,
    revision: crypto.randomUUID(),
    created_at: now,
    updated_at: now,
    ready_at: now,
    deleted_at: null,
    deleted_from: null,
    purge_after: null,
    ...changes,
  }
}

/** An operation of a tenant, its lease still good. */
export function newOperation(id: string, changes: Partial<NewOperation> = {}): NewOperation {
  return {
    id: crypto.randomUUID(),
    tenantId: asId(id),
    generation: 1,
    kind: 'suspend',
    params: {},
    owner: 'owner',
    leaseUntil: Date.now() + 60_000,
    ...changes,
  }
}
