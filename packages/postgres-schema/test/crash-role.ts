import type { CrashHarness } from '@tenantry/conformance/crash'
import { crashHarness } from './crash-postgres.ts'

const harness: CrashHarness = crashHarness('role')
export const setup: CrashHarness['setup'] = harness.setup
export const provider: CrashHarness['provider'] = harness.provider
export const catalog: CrashHarness['catalog'] = harness.catalog
