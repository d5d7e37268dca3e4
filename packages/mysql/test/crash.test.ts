import { testCrashes } from '@tenantry/conformance/crash'

// Hundreds of points: every statement that changes something is two.
const options = { perProcess: 60, sample: { stalled: 40 }, timeout: 300_000 }

testCrashes('MySQL', new URL('./crash-mysql.ts', import.meta.url).href, options)
