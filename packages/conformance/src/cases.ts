import type { ConformanceCase } from './case.ts'
import { contract } from './suites/contract/index.ts'
import { eviction } from './suites/eviction.ts'
import { faults } from './suites/faults.ts'
import { overtaken } from './suites/interleaving.ts'
import { isolation } from './suites/isolation.ts'
import { lifecycle } from './suites/lifecycle.ts'
import { migrations } from './suites/migrations.ts'
import { names } from './suites/names.ts'
import { races } from './suites/races.ts'

/** Every case, in the order it is best read and run. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...contract,
  ...names,
  ...lifecycle,
  ...isolation,
  ...races,
  ...overtaken,
  ...faults,
  ...migrations,
  ...eviction,
]
