import type { Kysely } from 'kysely'
import { openCatalogDatabase } from '../../src/catalog/connection.ts'
import type { CatalogContext } from '../../src/catalog/context.ts'
import { createOperationStore, type OperationStore } from '../../src/catalog/operations.ts'
import type { CatalogTables } from '../../src/catalog/schema.ts'
import { createTenantStore, type TenantStore } from '../../src/catalog/tenants.ts'
import type { TenantId } from '../../src/tenant-id.ts'
import type { Dialect } from '../../src/types/provider.ts'
import type { RunningOperation, TenantRecord } from '../../src/types/record.ts'
import { createEnvironment, type Environment } from '../../src/util/environment.ts'

export interface Stores {
  readonly ready: CatalogContext['ready']
  readonly tenants: TenantStore
  readonly operations: OperationStore
  readonly db: Kysely<CatalogTables>
}

/** The stores over a database, as one process has them. */
export function createStores(
  db: Kysely<any>,
  dialect: Dialect,
  environment: Environment = createEnvironment({ sleep: async () => {} }),
): Stores {
  const { ready } = openCatalogDatabase({ db, dialect })
  return {
    ready,
    db,
    tenants: createTenantStore({ ready, environment }),
    operations: createOperationStore({ ready, environment }),
  }
}

export function asId(text: string): TenantId {
  return text as TenantId
}

/** The record of an active tenant that no operation holds. */
export function tenantRecord(id: string, changes: Partial<TenantRecord> = {}): TenantRecord {
  const now = Date.now()
  return {
    id: asId(id),
    generation: 1,
    uid: crypto.randomUUID(),
    name: `tenant_${id}_${changes.generation ?? 1}`,
    locator: { name: 'x' },
    placement: undefined,
    state: 'active',
    superseded: false,
    operation: undefined,
    lastOperation: undefined,
    schemaVersion: undefined,
    metadata: {},
    error: undefined,
    revision: crypto.randomUUID(),
    createdAt: now,
    updatedAt: now,
    readyAt: now,
    deletedAt: undefined,
    deletedFrom: undefined,
    purgeAfter: undefined,
    ...changes,
  }
}

/** An operation under way whose lease has not expired. */
export function runningOperation(changes: Partial<RunningOperation> = {}): RunningOperation {
  return {
    id: crypto.randomUUID(),
    kind: 'suspend',
    owner: 'owner',
    leaseUntil: Date.now() + 60_000,
    attempt: 1,
    params: {},
    ...changes,
  }
}
