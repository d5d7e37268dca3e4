import type { ConformanceCase } from '../../case.ts'
import { contractAdmission } from './before-use.ts'
import { contractDatabases } from './databases.ts'
import { contractErrors } from './errors.ts'
import { contractFleet } from './fleet.ts'
import { contractKysely } from './kysely.ts'
import { contractAccess } from './set-access.ts'
import { contractSql } from './statements.ts'

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
