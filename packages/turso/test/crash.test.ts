import { testCrashes } from '@tenantry/conformance/crash'

// Every request is two points, and each tenant has a database of sqld's.
testCrashes('Turso', new URL('./crash-turso.ts', import.meta.url).href, { timeout: 300_000 })
