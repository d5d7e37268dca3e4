export {
  defineMigrations,
  type KyselyMigration,
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
  type TenantMigration,
} from './database/migrations/index.ts'
export {
  configError,
  ERROR_CODES,
  TenancyError,
  type TenancyErrorCode,
  type TenancyErrorOptions,
} from './errors.ts'
export { createAccessControlMiddleware } from './request/authorize.ts'
export { createDatabaseMiddleware } from './request/database.ts'
export type {
  AdaptersOf,
  DatabaseIsolation,
  DatabaseSource,
  RequestTenant,
  TenancyEnv,
  TenantIdEnv,
} from './request/env.ts'
export { createMultiTenancyMiddleware } from './request/multi-tenancy.ts'
export type { TenancyOptions } from './request/options.ts'
export { type ResolveOptions, resolveTenant } from './request/resolve.ts'
export { fromClaim } from './request/resolvers/claim.ts'
export { type CookieOptions, fromCookie } from './request/resolvers/cookie.ts'
export { type CustomHostOptions, fromHost } from './request/resolvers/custom-host.ts'
export { fromHeader, type HeaderOptions } from './request/resolvers/header.ts'
export { effectiveHost, type HostOptions } from './request/resolvers/host.ts'
export { fromPath, type PathOptions } from './request/resolvers/path.ts'
export type { TenantResolver, TrustedProxy } from './request/resolvers/resolver.ts'
export { fromSubdomain, type SubdomainOptions } from './request/resolvers/subdomain.ts'
export { createSubdomainMiddleware } from './request/subdomain.ts'
export { type MultiTenancy, type MultiTenancyConfig, setupMultiTenancy } from './setup.ts'
export { isTenantId, parseTenantId, RESERVED_TENANT_IDS, type TenantId } from './tenant-id.ts'
export type { CreateRequest, DeleteRequest, TenantHooks, UpdateRequest } from './tenants/hooks.ts'
export type { DatabaseHooks } from './tenants/without-catalog.ts'
export type { AccessControlOptions, ClaimOptions, ClaimsResult } from './types/access-control.ts'
export type { ErrorContext, OnError } from './types/error-report.ts'
export type { TenantInfo, Tenants } from './types/lifecycle.ts'
export type { CacheOptions } from './types/locate.ts'
export type { Progress, Report } from './types/progress.ts'
export type { Locator } from './types/provider.ts'
export type { DatabaseFactory, OpenTenant, Tenant, TenantFactory } from './types/tenant-factory.ts'
export type { Environment } from './util/environment.ts'
