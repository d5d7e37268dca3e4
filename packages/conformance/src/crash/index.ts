export type { CrashCatalog, CrashHarness, ServiceConfig } from './harness.ts'
export type { Around } from './points.ts'
export { type TestCrashesOptions, testCrashes } from './test-crashes.ts'
export { socketThrough } from './wire.ts'
