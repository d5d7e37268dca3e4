import { createPausePoints } from './pause-points.ts'
import {
  type CrashOperation,
  type CrashRun,
  createTenantProcess,
  performOperation,
} from './tenant-process.ts'

/** A process that stops for so long that its lease expires, and then continues. */
export interface StalledProcess {
  readonly id: string
  /** The point at which it is paused; `undefined` when the operation ended before that point. */
  readonly point: string | undefined
  resume(): void
  /** Resolves when the operation has ended, with or without an error. */
  readonly ended: Promise<unknown>
  close(): Promise<void>
}

/** Starts an operation and resolves when it is paused or has ended. */
export async function startStalledProcess(
  run: CrashRun,
  operation: CrashOperation,
  { id, pauseAt }: { readonly id: string; readonly pauseAt: number },
): Promise<StalledProcess> {
  const paused = Promise.withResolvers<string>()
  const points = createPausePoints(pauseAt, paused.resolve)
  const tenantProcess = await createTenantProcess(run, points.around, { newer: operation === 'migrate' })
  const ended = performOperation(tenantProcess, operation, id).catch((error: unknown) => error)
  const point = await Promise.race([paused.promise, ended.then(() => undefined)])
  return { id, point, resume: points.resume, ended, close: tenantProcess.close }
}
