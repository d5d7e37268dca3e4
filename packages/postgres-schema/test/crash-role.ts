import type { CrashHarness } from '@tenantry/conformance/crash'
import { crashHarness } from './crash-postgres.ts'

const harness: CrashHarness = crashHarness('role')
export const setup: CrashHarness['setup'] = harness.setup
export const createProvider: CrashHarness['createProvider'] = harness.createProvider
export const openCatalog: CrashHarness['openCatalog'] = harness.openCatalog
