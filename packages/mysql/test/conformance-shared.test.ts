import { testProvider } from '@tenantry/conformance'
import { createHarness } from './harness.ts'

testProvider('mysql (shared)', () => createHarness('shared'))
