import type { SqlMigration } from '../database/migrations/index.ts'
import type { Dialect } from '../types/provider.ts'
import { TEXT_KEY } from '../util/dialect.ts'

/** The catalog's tables for Kysely. Times are milliseconds since the epoch; some drivers return `bigint` as text. */
export interface CatalogTables {
  tenantry_tenants: TenantRow
  tenantry_operations: OperationRow
  tenantry_operation_steps: StepRow
  tenantry_findings: { finding: string; first_seen: number | string; last_seen: number | string }
}

export interface TenantRow {
  tenant_id: string
  generation: number | string
  uid: string
  name: string
  locator: string | null
  placement: string | null
  state: string
  superseded: number | string
  operation_id: string | null
  operation_kind: string | null
  operation_owner: string | null
  operation_lease_until: number | string | null
  operation_attempt: number | string | null
  operation_params: string | null
  last_operation_id: string | null
  schema_version: string | null
  metadata: string
  error: string | null
  revision: string
  created_at: number | string
  updated_at: number | string
  ready_at: number | string | null
  deleted_at: number | string | null
  deleted_from: string | null
  purge_after: number | string | null
}

export interface OperationRow {
  id: string
  tenant_id: string
  generation: number | string
  kind: string
  state: string
  attempt: number | string
  request_key: string | null
  params: string
  error: string | null
  created_at: number | string
  finished_at: number | string | null
}

export interface StepRow {
  operation_id: string
  attempt: number | string
  position: number | string
  name: string
  outcome: string
  detail: string | null
  started_at: number | string
  finished_at: number | string | null
}

/**
 * Ids, names and states compare byte by byte in every dialect: no two tenants differ by case or accent alone.
 *
 * Every statement may run again: where DDL is not transactional, a migration that a crash interrupted is repeated from
 * its first statement. MySQL has no `CREATE INDEX IF NOT EXISTS`, so on MySQL an index is part of its table.
 */
export function catalogMigrations(dialect: Dialect): Record<string, SqlMigration> {
  const key = TEXT_KEY[dialect]
  // A MySQL database with another default character set would refuse characters outside of it.
  const text = dialect === 'mysql' ? 'TEXT CHARACTER SET utf8mb4' : 'TEXT'
  const inside = (name: string, columns: string) =>
    dialect === 'mysql' ? `,\n  INDEX ${name} (${columns})` : ''
  const index = (name: string, table: string, columns: string) =>
    dialect === 'mysql' ? '' : `CREATE INDEX IF NOT EXISTS ${name} ON ${table} (${columns});`
  return {
    '0001_catalog': {
      sql: `
CREATE TABLE IF NOT EXISTS tenantry_tenants (
  tenant_id ${key} NOT NULL,
  generation INTEGER NOT NULL,
  uid ${key} NOT NULL UNIQUE,
  name ${key} NOT NULL UNIQUE,
  locator ${text},
  placement ${key},
  state ${key} NOT NULL,
  superseded INTEGER NOT NULL,
  operation_id ${key} UNIQUE,
  operation_kind ${key},
  operation_owner ${key},
  operation_lease_until BIGINT,
  operation_attempt INTEGER,
  operation_params ${text},
  last_operation_id ${key},
  schema_version ${key},
  metadata ${text} NOT NULL,
  error ${text},
  revision ${key} NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  ready_at BIGINT,
  deleted_at BIGINT,
  deleted_from ${key},
  purge_after BIGINT,
  PRIMARY KEY (tenant_id, generation)${inside('tenantry_tenants_due', 'state, purge_after')}${inside('tenantry_tenants_lease', 'operation_lease_until')}
);
${index('tenantry_tenants_due', 'tenantry_tenants', 'state, purge_after')}
${index('tenantry_tenants_lease', 'tenantry_tenants', 'operation_lease_until')}
CREATE TABLE IF NOT EXISTS tenantry_operations (
  id ${key} NOT NULL PRIMARY KEY,
  tenant_id ${key} NOT NULL,
  generation INTEGER NOT NULL,
  kind ${key} NOT NULL,
  state ${key} NOT NULL,
  attempt INTEGER NOT NULL,
  request_key ${key},
  params ${text} NOT NULL,
  error ${text},
  created_at BIGINT NOT NULL,
  finished_at BIGINT${inside('tenantry_operations_tenant', 'tenant_id, created_at')}${inside('tenantry_operations_state', 'state, created_at')}${inside('tenantry_operations_request', 'request_key')}
);
${index('tenantry_operations_tenant', 'tenantry_operations', 'tenant_id, created_at')}
${index('tenantry_operations_state', 'tenantry_operations', 'state, created_at')}
${index('tenantry_operations_request', 'tenantry_operations', 'request_key')}
CREATE TABLE IF NOT EXISTS tenantry_operation_steps (
  operation_id ${key} NOT NULL,
  attempt INTEGER NOT NULL,
  position INTEGER NOT NULL,
  name ${key} NOT NULL,
  outcome ${key} NOT NULL,
  detail ${text},
  started_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (operation_id, attempt, position)
);
CREATE TABLE IF NOT EXISTS tenantry_findings (
  finding ${key} NOT NULL PRIMARY KEY,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL
)`,
    },
  }
}
