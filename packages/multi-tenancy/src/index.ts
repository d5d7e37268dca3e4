export type {
  CallOptions,
  Capabilities,
  ConnectTarget,
  ListedDatabase,
  Locator,
  Naming,
  Row,
  SqlValue,
  Statement,
  TenantProvider,
} from './contract.ts'
export type { DatabaseFactory, OpenTenant, Tenant, TenantFactory } from './database-factory.ts'
export { ERROR_CODES, TenancyError, type TenancyErrorCode, type TenancyErrorOptions, configError } from './errors.ts'
export { defineFactory } from './factory/define-factory.ts'
export type { Environment } from './factory/environment.ts'
export type { CacheOptions, FactoryOptions } from './factory/options.ts'
export { createRedactor, type Redactor } from './factory/redact.ts'
export { RESERVED_TENANT_IDS, type TenantId, isTenantId, parseTenantId } from './tenant-id.ts'
