import type { ConformanceCase } from './case.ts'
import { contract } from './suites/contract/index.ts'
import { endedAdapters } from './suites/ended-adapters.ts'
import { eviction } from './suites/eviction.ts'
import { faults } from './suites/faults.ts'
import { foreignKeys } from './suites/foreign-keys.ts'
import { interleaving } from './suites/interleaving.ts'
import { isolation } from './suites/isolation.ts'
import { lifecycle } from './suites/lifecycle.ts'
import { migrationStatements } from './suites/migration-statements.ts'
import { migrations } from './suites/migrations.ts'
import { names } from './suites/names.ts'
import { races } from './suites/races.ts'

/** Every case, from the simplest requirement to the most demanding one. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...contract,
  ...names,
  ...lifecycle,
  ...isolation,
  ...races,
  ...interleaving,
  ...faults,
  ...migrations,
  ...foreignKeys,
  ...migrationStatements,
  ...eviction,
  ...endedAdapters,
]
