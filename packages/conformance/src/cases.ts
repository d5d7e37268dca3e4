import type { ConformanceCase } from './case.ts'
import { contract } from './suites/contract.ts'

/** Every case, in the order it is best read and run. */
export const conformanceCases: readonly ConformanceCase[] = [...contract]
