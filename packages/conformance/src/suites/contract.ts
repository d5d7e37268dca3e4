import type { ConformanceCase } from '../case.ts'
import { contractDatabases } from './contract-databases.ts'
import { contractSql } from './contract-sql.ts'

/** The bare provider, member by member. */
export const contract: readonly ConformanceCase[] = [...contractDatabases, ...contractSql]
