import { testProvider } from '../src/index.ts'
import { createMemoryHarness } from './memory-harness.ts'

testProvider('memory', createMemoryHarness)
