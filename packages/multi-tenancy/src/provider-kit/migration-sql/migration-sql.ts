import type { MigrationSql } from '../../types/migration-sql.ts'
import type { Dialect } from '../../types/provider.ts'
import { foreignKeys } from './foreign-keys.ts'
import { MYSQL_RULES, POSTGRES_RULES, type Rule, readStatements, SQLITE_RULES } from './rules.ts'
import { createUpDatabase } from './up-database.ts'

function createMigrationSql(dialect: Dialect, rules: readonly Rule[]): MigrationSql {
  return {
    readStatements: (name, sql, scope) => readStatements(name, sql, { dialect, rules, scope }),
    createUpDatabase: (kysely, base, scope) => createUpDatabase(kysely, base, { dialect, rules, scope }),
  }
}

/** For providers whose `capabilities.dialect` is `sqlite`. */
export const sqliteMigrationSql: MigrationSql = /* @__PURE__ */ Object.assign(
  /* @__PURE__ */ createMigrationSql('sqlite', SQLITE_RULES),
  { foreignKeys },
)

/** For providers whose `capabilities.dialect` is `postgres`. */
export const postgresMigrationSql: MigrationSql = /* @__PURE__ */ createMigrationSql(
  'postgres',
  POSTGRES_RULES,
)

/** For providers whose `capabilities.dialect` is `mysql`. */
export const mysqlMigrationSql: MigrationSql = /* @__PURE__ */ createMigrationSql('mysql', MYSQL_RULES)
