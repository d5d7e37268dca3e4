import { testProvider } from '@tenantry/conformance'
import { createFileHarness } from './file-harness.ts'

testProvider('libsql-file', createFileHarness)
