// The entry of provider authors: the contract, `defineFactory`, and the parts that providers share.

export {
  configError,
  ERROR_CODES,
  TenancyError,
  type TenancyErrorCode,
  type TenancyErrorOptions,
} from './errors.ts'
export { defineFactory, type ProviderHost, type ProviderSource } from './factory/define-factory.ts'
export type { FactoryOptions } from './factory/options.ts'
export {
  type ConnectionLossOptions,
  classifyConnectionError,
  type DatabaseStatus,
} from './provider-kit/connection-loss.ts'
export { type CreateOrFindOptions, createOrFind } from './provider-kit/create-or-find.ts'
export { derivePassword, hmacSha256, randomId, toBase64, toHex } from './provider-kit/credentials.ts'
export {
  createErrorMap,
  type ErrorClassification,
  type ErrorMap,
  type ErrorMapOptions,
} from './provider-kit/error-map.ts'
export {
  classifyHttpError,
  createHttpClient,
  type Fetch,
  type HttpClient,
  type HttpClientOptions,
  HttpError,
  type HttpErrorOptions,
  isOutcomeUnknown,
  parseBaseUrl,
  parseJsonObject,
} from './provider-kit/http.ts'
export {
  createLeasedClient,
  type LeasedClient,
  type LeasedClientOptions,
  type StatementResult,
} from './provider-kit/leased-client.ts'
export { listSources, type SourcePage } from './provider-kit/list-sources.ts'
export {
  mysqlMigrationSql,
  postgresMigrationSql,
  sqliteMigrationSql,
} from './provider-kit/migration-sql/migration-sql.ts'
export {
  getServer,
  type MultiServerMembers,
  type MultiServerOptions,
  type ServerControlPlane,
  spreadOverServers,
} from './provider-kit/multi-server.ts'
export { isNetworkError, isTlsError } from './provider-kit/network-errors.ts'
export type { Lease } from './provider-kit/pool/lease.ts'
export {
  createLeasePool,
  type DrainOptions,
  type LeasePool,
  type LeasePoolStats,
} from './provider-kit/pool/lease-pool.ts'
export {
  checkConnectionLimits,
  type LeasePoolOptions,
  type LeasePoolStep,
} from './provider-kit/pool/options.ts'
export { createRateGate, type RateGate } from './provider-kit/rate-gate.ts'
export { createRedactor, type Redactor } from './provider-kit/redactor.ts'
export { MAX_RETRY_AFTER, parseRetryAfter } from './provider-kit/retry-after.ts'
export {
  CONNECTION_POOL_OPTIONS,
  type ConnectionPoolOptions,
  type ConnectionPoolSettings,
  checkSecret,
  decodeUrlPart,
  hasControlCharacter,
  type Placement,
  type PlacementOptions,
  parsePlacement,
  parsePoolOptions,
} from './provider-kit/sql-server-options.ts'
export type { TenantId } from './tenant-id.ts'
export type { MigrationSql } from './types/migration-sql.ts'
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
} from './types/provider.ts'
export type { DatabaseFactory, OpenTenant, Tenant, TenantFactory } from './types/tenant-factory.ts'
export type { Environment } from './util/environment.ts'
export { leadingKeyword, leadingWords, splitStatements } from './util/sql/split.ts'
export { type SqlToken, significantTokens, tokenizeSql, unquote } from './util/sql/tokens.ts'
