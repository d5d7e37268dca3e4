import type { ConformanceCase } from '../case.ts'
import { contractAccess } from './contract-access.ts'
import { contractAdmission } from './contract-admission.ts'
import { contractDatabases } from './contract-databases.ts'
import { contractErrors } from './contract-errors.ts'
import { contractFleet } from './contract-fleet.ts'
import { contractKysely } from './contract-kysely.ts'
import { contractSql } from './contract-sql.ts'

/** The bare provider, member by member. */
export const contract: readonly ConformanceCase[] = [
  ...contractDatabases,
  ...contractSql,
  ...contractKysely,
  ...contractErrors,
  ...contractAdmission,
  ...contractAccess,
  ...contractFleet,
]
