export { createD1Adapter } from './adapter.ts'
export type {
  D1Database,
  D1DatabaseSession,
  D1Meta,
  D1PreparedStatement,
  D1Result,
} from './client/d1-database.ts'
export { type D1Info, type D1Moment, type D1TimeTravel, d1Info } from './client/time-travel.ts'
export { createD1Factory, type D1FactoryOptions } from './factory.ts'
export { type D1Queries, d1Kysely } from './kysely.ts'
export type { D1Placement, D1ProviderOptions, D1RestorePoint } from './options.ts'
export { createD1Provider } from './provider.ts'
export type { BindingAccess, D1Access, DispatchAccess, Dispatcher, RestAccess } from './types.ts'
