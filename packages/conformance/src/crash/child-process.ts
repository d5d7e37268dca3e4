import { createPausePoints } from './pause-points.ts'
import {
  type CrashOperation,
  type CrashRun,
  createTenantProcess,
  performOperation,
} from './tenant-process.ts'

/** What a child process does before it is killed: an operation on each tenant, each paused at its own point. */
export interface ChildTask {
  readonly run: CrashRun
  readonly operation: CrashOperation
  readonly tenants: readonly { readonly id: string; readonly pauseAt: number }[]
}

/** One line of a child's output: where a tenant is paused, or how its operation ended without a pause. */
export interface ChildReport {
  readonly id: string
  readonly point?: string
  readonly done?: true
  readonly failed?: string
}

function report(line: ChildReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

const { run, operation, tenants }: ChildTask = JSON.parse(process.env.TENANTRY_CRASH_TASK ?? '')
// Keeps this process alive until its parent kills it.
setInterval(() => {}, 1_000)
process.on('disconnect', () => process.exit(1))
await Promise.all(
  tenants.map(async ({ id, pauseAt }) => {
    const points = createPausePoints(pauseAt, (point) => report({ id, point }))
    const tenantProcess = await createTenantProcess(run, points.around, { newer: operation === 'migrate' })
    await performOperation(tenantProcess, operation, id).then(
      () => report({ id, done: true }),
      (error: unknown) => report({ id, failed: String(error) }),
    )
  }),
)
