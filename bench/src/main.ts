import { d1 } from './d1.ts'
import { memoryPerTenant } from './memory.ts'
import { mysql } from './mysql.ts'
import { postgres } from './postgres.ts'
import { requestOverhead } from './request-overhead.ts'

console.log(
  `Node ${process.versions.node}, ${process.platform} ${process.arch}; medians of rounds by turns\n`,
)
await memoryPerTenant()
await requestOverhead()
await postgres()
await mysql()
await d1()
process.exit(0)
