import type { ConformanceCase } from '../../case.ts'
import { contractBeforeUse } from './before-use.ts'
import { contractConnections } from './connections.ts'
import { contractDatabaseLoss } from './database-loss.ts'
import { contractDatabases } from './databases.ts'
import { contractErrors } from './errors.ts'
import { contractFleet } from './fleet.ts'
import { contractKysely } from './kysely.ts'
import { contractAccess } from './set-access.ts'
import { contractSql } from './statements.ts'

/** The members of a provider, called without a factory. */
export const contract: readonly ConformanceCase[] = [
  ...contractDatabases,
  ...contractSql,
  ...contractKysely,
  ...contractErrors,
  ...contractConnections,
  ...contractDatabaseLoss,
  ...contractBeforeUse,
  ...contractAccess,
  ...contractFleet,
]
