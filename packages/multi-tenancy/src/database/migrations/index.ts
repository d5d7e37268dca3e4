export {
  defineMigrations,
  type KyselyMigration,
  type MigrationRecord,
  type MigrationSource,
  type Migrations,
  type SqlMigration,
  type TenantMigration,
} from './define.ts'
export { buildInitialScript } from './initial-script.ts'
export type { MigrationProvider } from './journal.ts'
export type { MigrateOptions } from './lock.ts'
export { migrate, pendingMigrations } from './migrate.ts'
export { type RepairOptions, repairMigration } from './repair.ts'
