import type { StepInput, StepResult } from './context.ts'
import { dropTenantDatabase, markDeleted } from './deletion-steps.ts'
import type { InlineStep } from './plans.ts'
import { createDatabase, markReady, migrateDatabase, seedDatabase, stampDatabase } from './provision-steps.ts'

/**
 * What each step does to a tenant's database, of those that run with a catalog and without one. Every step may run again
 * after any failure.
 */
export const INLINE_STEPS: Readonly<Record<InlineStep, (input: StepInput<any, any>) => Promise<StepResult>>> =
  {
    create: createDatabase,
    stamp: stampDatabase,
    migrate: migrateDatabase,
    seed: seedDatabase,
    ready: markReady,
    markDeleted,
    drop: dropTenantDatabase,
  }
