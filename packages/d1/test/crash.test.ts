import { testCrashes } from '@tenantry/conformance/crash'

// Each point sends the requests of a tenant's whole life; TENANTRY_CRASH_POINTS=all runs all of them.
const options = { sample: { killed: 10, stalled: 10 }, timeout: 900_000 }

testCrashes('D1', new URL('./crash-dispatch.ts', import.meta.url).href, options)
