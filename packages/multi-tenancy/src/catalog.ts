export type { CatalogDatabase } from './catalog/connection.ts'
export { type CatalogOptions, createCatalog } from './create-catalog.ts'
export type { Catalog } from './factory/context.ts'
export type { StateOptions } from './factory/locate-in-catalog.ts'
export type {
  DeprovisionOptions,
  Finding,
  FindingKind,
  Lifecycle,
  ListQuery,
  OperationDetail,
  OperationOptions,
  ProvisionOptions,
  PurgeOptions,
  ReconcileOptions,
  ReconcileReport,
  RunOptions,
  StepRunner,
  SweepOptions,
  SweepReport,
} from './types/lifecycle.ts'
export type { Progress, Report } from './types/progress.ts'
export {
  type Operation,
  type OperationError,
  type OperationKind,
  type OperationParams,
  type RunningOperation,
  type StepEvent,
  TENANT_STATES,
  type TenantFilter,
  type TenantMetadata,
  type TenantPage,
  type TenantRecord,
  type TenantState,
} from './types/record.ts'
