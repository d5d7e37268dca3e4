import { testCrashes } from '@tenantry/conformance/crash'

testCrashes('libSQL files', new URL('./crash-files.ts', import.meta.url).href)
testCrashes('Turso', new URL('./crash-turso.ts', import.meta.url).href)
