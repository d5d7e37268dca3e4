import type { Kysely } from 'kysely'
import { TenancyError } from '../../src/errors.ts'
import { lostConnection } from '../catalog/faulty-kysely.ts'
import type { Process, TestEnv } from './test-env.ts'
import type { Around } from './test-service.ts'

/** A process that a test kills, or whose calls it fails. */
export interface FailingProcess extends Process {
  /** Ends the process after this number of points, before a call or after its lost reply. Later calls are not sent. */
  killIn(calls: number): void
  kill(): void
  /** Fails one call after this number of points like a lost connection; with `after` the call was sent. */
  failIn(calls: number, when: 'before' | 'after'): void
  /** Cancels a fault that has not occurred. A dead process stays dead. */
  disarm(): void
  readonly dead: boolean
}

export interface FailingProcessOptions {
  readonly migrations: Record<string, string>
  /** From 0 to below 1; decides how long each reply takes, in turns of the queue. */
  readonly random: () => number
}

/** Starts a process that can die at each of its calls of the catalog and the service. */
export async function startFailingProcess(
  env: TestEnv,
  { migrations, random }: FailingProcessOptions,
): Promise<FailingProcess> {
  let calls = 0
  let deadAt = Number.POSITIVE_INFINITY
  let fault: { at: number; when: 'before' | 'after' } | undefined

  /** Two points of each call: before it, and when its reply is on the way. */
  function point(when: 'before' | 'after', error: () => Error): void {
    calls++
    if (calls >= deadAt) {
      deadAt = Math.min(deadAt, calls)
      throw new Error('killed')
    }
    if (fault?.when === when && calls >= fault.at) {
      fault = undefined
      throw error()
    }
  }
  async function dawdle(): Promise<void> {
    for (let turns = Math.floor(random() * 6); turns > 0; turns--) await Promise.resolve()
  }
  const away = (): Error => new TenancyError('provider_unavailable', 'The service does not answer')

  const around: Around = async (_member, run) => {
    point('before', away)
    await dawdle()
    const value = await run()
    await dawdle()
    point('after', away)
    return value
  }
  const wrap = (db: Kysely<any>): Kysely<any> =>
    db.withPlugin({
      transformQuery({ node }) {
        point('before', lostConnection)
        return node
      },
      async transformResult({ result }) {
        await dawdle()
        point('after', lostConnection)
        return result
      },
    })

  const process = await env.start({ around, wrap, migrations, waitTimeout: 20_000 })
  calls = 0
  return {
    ...process,
    killIn(count) {
      deadAt = calls + count
    },
    kill() {
      deadAt = calls
    },
    failIn(count, when) {
      fault = { at: calls + count, when }
    },
    disarm() {
      if (calls < deadAt) deadAt = Number.POSITIVE_INFINITY
      fault = undefined
    },
    get dead() {
      return calls >= deadAt
    },
  }
}
