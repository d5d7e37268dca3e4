import { testCrashes } from '@tenantry/conformance/crash'

// Each point costs a tenant's whole life in requests; TENANTRY_CRASH_POINTS=all takes them all.
const options = { sample: { killed: 10, stalled: 10 }, timeout: 900_000 }

testCrashes('D1', new URL('./crash-dispatch.ts', import.meta.url).href, options)
