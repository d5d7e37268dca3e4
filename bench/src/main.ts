import { memoryPerTenant } from './memory.ts'
import { requestOverhead } from './request-overhead.ts'

console.log(
  `Node ${process.versions.node}, ${process.platform} ${process.arch}; medians of rounds by turns\n`,
)
await memoryPerTenant()
await requestOverhead()
process.exit(0)
