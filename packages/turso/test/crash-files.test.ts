import { testCrashes } from '@tenantry/conformance/crash'

testCrashes('libSQL files', new URL('./crash-files.ts', import.meta.url).href)
