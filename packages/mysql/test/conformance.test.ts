import { testProvider } from '@tenantry/conformance'
import { createHarness } from './harness.ts'

testProvider('mysql', () => createHarness('user'))
