import { testCrashes } from '@tenantry/conformance/crash'

// Each tenant of a process may have four connections for a moment, and the server has 300.
const options = { perProcess: 32, timeout: 300_000 }

testCrashes('PostgreSQL (role)', new URL('./crash-role.ts', import.meta.url).href, options)
