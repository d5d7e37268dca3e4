export type { Catalog } from '../factory/backend.ts'
export type { Progress, Report } from '../factory/provisioning.ts'
export type { StateOptions } from '../lifecycle/directory.ts'
export type { Finding, FindingKind, ReconcileOptions, ReconcileReport } from '../lifecycle/reconcile.ts'
export type {
  DeprovisionOptions,
  Lifecycle,
  ListQuery,
  OperationDetail,
  OperationOptions,
  ProvisionOptions,
  PurgeOptions,
  RunOptions,
  StepRunner,
  SweepOptions,
  SweepReport,
} from '../lifecycle/types.ts'
export { type CatalogOptions, createCatalog } from './catalog.ts'
export type { CatalogDatabase } from './database.ts'
export {
  type Operation,
  type OperationError,
  type OperationKind,
  type OperationParams,
  type StepEvent,
  TENANT_STATES,
  type TenantFilter,
  type TenantMetadata,
  type TenantPage,
  type TenantRecord,
  type TenantState,
} from './record.ts'
