import { equal, ok } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { runConcurrently } from '../support/run-concurrently.ts'
import { CONCURRENCY, checkRecovery } from './check-recovery.ts'
import type { ChildTask } from './child-process.ts'
import type { CrashHarness } from './harness.ts'
import { runAndKill } from './killed-process.ts'
import { createPausePoints, withoutPauses } from './pause-points.ts'
import { samplePoints } from './sample-points.ts'
import { startStalledProcess } from './stalled-process.ts'
import {
  type CrashOperation,
  type CrashRun,
  createTenantProcess,
  OPERATIONS,
  performOperation,
} from './tenant-process.ts'

export interface TestCrashesOptions {
  /**
   * The number of tenants that die in one process, each at a point of its own.
   *
   * @default 40
   */
  readonly perProcess?: number
  /**
   * The milliseconds that all points of one operation may take together.
   *
   * @default 120_000
   */
  readonly timeout?: number
  /**
   * How many points of each operation to try, for services that are too slow for all of them in every run: one of
   * each stretch, chosen by a seed that is printed. `killed` counts for processes that are killed, `stalled` for those
   * that continue after their lease has expired. `TENANTRY_CRASH_POINTS=all` tries all points, and
   * `TENANTRY_CRASH_SEED=7` chooses others.
   *
   * @default all
   */
  readonly sample?: { readonly killed?: number; readonly stalled?: number }
}

type Tenants = ChildTask['tenants']

/**
 * Registers tests that kill processes (`kill -9`) at every await of provision, migrate and deprovision that reaches the
 * service or the catalog. Another process then takes over: each tenant has one record and one database, or neither,
 * and the same operation succeeds when it is repeated. The tests run a second time with processes that stall until
 * their lease has expired, and continue too late. Prints a line for each group of points.
 *
 * @param harness the URL of a module that exports a `CrashHarness`
 */
export function testCrashes(
  name: string,
  harness: string,
  { perProcess = 40, timeout = 120_000, sample = {} }: TestCrashesOptions = {},
): void {
  const { TENANTRY_CRASH_POINTS, TENANTRY_CRASH_SEED: seed = '1' } = process.env
  const samples = TENANTRY_CRASH_POINTS === 'all' ? {} : sample
  describe(`${name} recovers from a crash at every await`, () => {
    let run: CrashRun
    let service: Awaited<ReturnType<CrashHarness['setup']>>
    let folder: string

    beforeAll(async () => {
      const { setup } = (await import(harness)) as CrashHarness
      service = await setup()
      folder = await mkdtemp(path.join(tmpdir(), 'tenantry-crash-'))
      const prefix = `c${Math.random().toString(36).slice(2, 8)}-`
      run = { harness, config: service.config, catalogPath: path.join(folder, 'catalog.db'), prefix }
    }, timeout)

    afterAll(async () => {
      await service?.cleanup()
      await rm(folder, { recursive: true, force: true })
    })

    /** Tries the points of an operation in groups, each point on a tenant of its own. */
    async function tryPoints(
      operation: CrashOperation,
      mode: 'killed' | 'stalled',
      tryGroup: (tenants: Tenants) => Promise<ReadonlyMap<string, string>>,
    ): Promise<void> {
      const sampleSize = samples[mode]
      const chosen =
        sampleSize === undefined
          ? undefined
          : await choosePoints(run, { operation, mode, count: sampleSize, seed })
      let total = 0
      for (let from = 0, isLast = false; !isLast; from += perProcess) {
        const group =
          chosen?.slice(from, from + perProcess) ??
          Array.from({ length: perProcess }, (_, offset) => from + offset)
        const tenants = group.map((pauseAt) => ({ id: `${operation[0]}${mode[0]}${pauseAt}`, pauseAt }))
        await prepareTenants(run, operation, tenants)
        const points = await tryGroup(tenants)
        total += points.size
        // Without a sample, the first group that does not reach all of its points has passed the last one.
        isLast = chosen === undefined ? points.size < perProcess : from + perProcess >= chosen.length
        const selection = chosen === undefined ? 'all points' : `a sample by TENANTRY_CRASH_SEED=${seed}`
        console.log(`${name}: ${operation}: ${mode} at ${total} points (${selection})`)
      }
      ok(total > Math.min(20, (sampleSize ?? 40) / 2), `only ${total} points were reached`)
    }

    for (const operation of OPERATIONS) {
      it(`${operation}: recovers from a killed process`, { timeout }, () =>
        tryPoints(operation, 'killed', async (tenants) => {
          const points = new Map<string, string>()
          for (const { id, point, failed } of await runAndKill({ run, operation, tenants })) {
            equal(failed, undefined, id)
            if (point !== undefined) points.set(id, point)
          }
          await checkRecovery({ run, oracle: service.oracle, operation, points })
          return points
        }),
      )

      it(
        `${operation}: recovers from a process that continues after its lease has expired`,
        { timeout },
        () =>
          tryPoints(operation, 'stalled', async (tenants) => {
            const processes = await Promise.all(
              tenants.map((tenant) => startStalledProcess(run, operation, tenant)),
            )
            const points = new Map(
              processes.flatMap(({ id, point }) => (point === undefined ? [] : [[id, point]])),
            )
            await checkRecovery({ run, oracle: service.oracle, operation, points })
            for (const { resume } of processes) resume()
            await Promise.all(processes.map(({ ended }) => ended))
            await checkRecovery({ run, oracle: service.oracle, operation, points })
            await Promise.all(processes.map(({ close }) => close()))
            return points
          }),
      )
    }
  })
}

/** Brings tenants into the state in which the operation begins. */
async function prepareTenants(run: CrashRun, operation: CrashOperation, tenants: Tenants): Promise<void> {
  const tenantProcess = await createTenantProcess(run, withoutPauses)
  if (operation === 'provision') await tenantProcess.lifecycle.list()
  else await runConcurrently(tenants, CONCURRENCY, ({ id }) => tenantProcess.factory.provision(id))
  await tenantProcess.close()
}

interface SampleRequest {
  readonly operation: CrashOperation
  readonly mode: 'killed' | 'stalled'
  readonly count: number
  readonly seed: string
}

/** Counts the operation's points on a tenant of its own and chooses one of each stretch. */
async function choosePoints(
  run: CrashRun,
  { operation, mode, count, seed }: SampleRequest,
): Promise<number[]> {
  const id = `${operation[0]}${mode[0]}whole`
  await prepareTenants(run, operation, [{ id, pauseAt: 0 }])
  const points = createPausePoints(Number.POSITIVE_INFINITY, () => {})
  const tenantProcess = await createTenantProcess(run, points.around, { newer: operation === 'migrate' })
  await performOperation(tenantProcess, operation, id)
  await tenantProcess.close()
  return samplePoints(points.count(), count, `${seed} ${operation} ${mode}`)
}
