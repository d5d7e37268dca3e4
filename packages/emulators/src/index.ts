export {
  cloudflareEmulatorDispatcher,
  cloudflareEmulatorUrl,
  type DispatcherLike,
  type Fetch,
  tursoEmulatorFetch,
  tursoEmulatorUrl,
} from './client.ts'
export type { CloudflareRequestRecord } from './cloudflare/call.ts'
export {
  type CloudflareEmulator,
  type CloudflareEmulatorOptions,
  startCloudflareEmulator,
} from './cloudflare/emulator.ts'
export type { CloudflareRateLimitOptions } from './cloudflare/fault-rate-limit.ts'
export type {
  CloudflareErrorOptions,
  CloudflareFaults,
  CloudflareFaultTarget,
} from './cloudflare/faults.ts'
export type { ApiOperation, CloudflareOperation, Permission } from './cloudflare/operations.ts'
export type { CloudflareOracle, D1Value, OracleD1Database } from './cloudflare/oracle.ts'
export type { CloudflareExchange } from './cloudflare/server.ts'

export type { Fault } from './fault-engine.ts'
export type { RequestRecord } from './turso/call.ts'
export {
  startTursoEmulator,
  type TursoEmulator,
  type TursoEmulatorOptions,
} from './turso/emulator.ts'
export type { ConsistencyFaults } from './turso/fault-consistency.ts'
export type { FaultTarget } from './turso/fault-engine.ts'
export type { RateLimitOptions } from './turso/fault-rate-limit.ts'
export type { DuplicateStatus, Faults, StatusOptions } from './turso/faults.ts'
export type { SqlRow, SqlValue } from './turso/hrana.ts'
export { maxNameLength } from './turso/names.ts'
export type { PlatformOperation, Scope, TursoOperation } from './turso/operations.ts'
export type { OracleDatabase, TursoOracle } from './turso/oracle.ts'
export type { GroupScope } from './turso/platform-tokens.ts'
export type { Exchange } from './turso/server.ts'
export type { Authorization, TokenGrant } from './turso/tokens.ts'
