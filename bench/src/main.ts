import { d1 } from './d1.ts'
import { memoryPerTenant } from './memory.ts'
import { mysql } from './mysql.ts'
import { postgres } from './postgres.ts'
import { requestOverhead } from './request-overhead.ts'

console.log(
  `Node ${process.versions.node}, ${process.platform} ${process.arch}; medians of rounds by turns\n`,
)
const all = { memory: memoryPerTenant, request: requestOverhead, postgres, mysql, d1 }
const wanted = process.argv.slice(2)
for (const [name, run] of Object.entries(all)) if (wanted.length === 0 || wanted.includes(name)) await run()
process.exit(0)
