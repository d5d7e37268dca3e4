export type {
  D1Database,
  D1DatabaseSession,
  D1Meta,
  D1PreparedStatement,
  D1Result,
} from './client/d1-database.ts'
export { type D1Info, type D1Moment, type D1TimeTravel, d1Info } from './client/database-info.ts'
export { createD1Factory, type D1FactoryOptions } from './factory.ts'
export { createD1Adapter, type D1Queries, d1Kysely } from './kysely.ts'
export type { D1Placement, D1ProviderOptions } from './options.ts'
export { createD1Provider } from './provider.ts'
export type {
  BindingAccess,
  D1Access,
  D1RestorePoint,
  DispatchAccess,
  Dispatcher,
  RestAccess,
} from './types.ts'
