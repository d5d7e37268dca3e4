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
export {
  configError,
  ERROR_CODES,
  TenancyError,
  type TenancyErrorCode,
  type TenancyErrorOptions,
} from './errors.ts'
export { defineFactory, type ProviderSource } from './factory/define-factory.ts'
export type { Environment } from './factory/environment.ts'
export {
  createErrorMap,
  type ErrorMap,
  type ErrorMapOptions,
  type ErrorMeaning,
} from './factory/error-map.ts'
export type { CacheOptions, FactoryOptions } from './factory/options.ts'
export type { Progress, Report } from './factory/provisioning.ts'
export { createRedactor, type Redactor } from './factory/redact.ts'
export { explainRefusal, type FoundDatabase, type RefusalOptions } from './factory/refusal.ts'
export {
  type OverServers,
  type OverServersOptions,
  overServers,
  type ServerDatabases,
  serverNamed,
} from './factory/servers.ts'
export type { TenantInfo, Tenants } from './lifecycle/types.ts'
export {
  type AccessControlOptions,
  createAccessControlMiddleware,
} from './middleware/access-control.ts'
export type { TenancyOptions } from './middleware/config.ts'
export { createDatabaseMiddleware } from './middleware/database.ts'
export type {
  AdaptersOf,
  DatabaseIsolation,
  DatabaseSource,
  RequestTenant,
  TenancyEnv,
  TenantIdEnv,
} from './middleware/env.ts'
export { createMultiTenancyMiddleware } from './middleware/multi-tenancy.ts'
export { createSubdomainMiddleware } from './middleware/subdomain.ts'
export {
  defineMigrations,
  type KyselyMigration,
  leadingKeyword,
  leadingWords,
  type MigrateOptions,
  type MigrationProvider,
  type MigrationRecord,
  type MigrationSource,
  type Migrations,
  migrate,
  pendingMigrations,
  type RepairOptions,
  repairMigration,
  type SqlMigration,
  splitStatements,
  type TenantMigration,
} from './migrations/index.ts'
export type { Lease } from './pool/lease.ts'
export { createLeasePool, type DrainOptions, type LeasePool, type LeasePoolStats } from './pool/lease-pool.ts'
export { checkConnectionLimits, type LeasePoolOptions, type LeasePoolStep } from './pool/options.ts'
export { type ClaimOptions, type ClaimsResult, fromClaim } from './resolvers/claim.ts'
export { type CookieOptions, fromCookie } from './resolvers/cookie.ts'
export { type CustomHostOptions, fromHost } from './resolvers/custom-host.ts'
export { fromHeader, type HeaderOptions } from './resolvers/header.ts'
export { effectiveHost, type HostOptions } from './resolvers/host.ts'
export { fromPath, type PathOptions } from './resolvers/path.ts'
export {
  type ResolveOptions,
  resolveTenant,
  type TenantResolver,
  type TrustedProxy,
} from './resolvers/resolver.ts'
export { fromSubdomain, type SubdomainOptions } from './resolvers/subdomain.ts'
export type { CreateRequest, DeleteRequest, TenantHooks, UpdateRequest } from './routes/hooks.ts'
export type { DatabaseHooks } from './routes/tenants.ts'
export { type MultiTenancy, type MultiTenancyConfig, setupMultiTenancy } from './setup.ts'
export { isTenantId, parseTenantId, RESERVED_TENANT_IDS, type TenantId } from './tenant-id.ts'
