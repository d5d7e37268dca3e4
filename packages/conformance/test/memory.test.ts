import { testProvider } from '../src/index.ts'
import { memoryHarness } from './memory-harness.ts'

testProvider('memory', memoryHarness)
