import type { ConformanceCase } from '../case.ts'
import { contractDatabases } from './contract-databases.ts'
import { contractErrors } from './contract-errors.ts'
import { contractKysely } from './contract-kysely.ts'
import { contractSql } from './contract-sql.ts'

/** The bare provider, member by member. */
export const contract: readonly ConformanceCase[] = [
  ...contractDatabases,
  ...contractSql,
  ...contractKysely,
  ...contractErrors,
]
