export type { CrashCatalog, CrashHarness, ServiceConfig } from './harness.ts'
export { interceptSocket } from './intercept-socket.ts'
export type { Around } from './pause-points.ts'
export { type TestCrashesOptions, testCrashes } from './test-crashes.ts'
