import { getOutcome } from '@tenantry/test-support'
import { describe, expect, it } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import type { StepRunner } from '../../src/types/lifecycle.ts'
import { createTestEnv, LEASE, type Process, type TestEnv } from './test-env.ts'

/**
 * A durable engine like Cloudflare Workflows: after a crash it runs a function again from its start, and returns the
 * recorded results of the completed steps. It rebuilds errors that cross it.
 */
function createEngine(run: (operationId: string, step: StepRunner, instance: string) => Promise<void>) {
  const instances = new Map<string, Map<string, unknown>>()
  const done: string[] = []
  let dieIn: { step: string; when: 'before' | 'after' | 'unremembered' } | undefined

  async function start(operationId: string): Promise<void> {
    const memo = instances.get(operationId) ?? new Map<string, unknown>()
    instances.set(operationId, memo)
    const step: StepRunner = {
      async do(name, work) {
        if (memo.has(name)) return memo.get(name) as never
        if (dieIn?.step === name && dieIn.when === 'before') return died()
        const result = await work().catch((error: unknown) => {
          throw new Error(String(error instanceof Error ? error.message : error))
        })
        done.push(name)
        if (dieIn?.step === name && dieIn.when === 'unremembered') return died()
        memo.set(name, JSON.parse(JSON.stringify(result)))
        if (dieIn?.step === name && dieIn.when === 'after') return died()
        return result
      },
    }
    await run(operationId, step, `instance-${operationId}`)
  }
  return {
    start,
    done,
    die(step: string, when: 'before' | 'after' | 'unremembered') {
      dieIn = { step, when }
    },
    live() {
      dieIn = undefined
    },
  }
}

/** The isolate is gone: nothing goes on, nothing is caught. */
function died(): Promise<never> {
  return new Promise<never>(() => {})
}

async function setUp(env: TestEnv) {
  const queue: string[] = []
  const engine = createEngine(async (id, step, owner) => {
    await runner.lifecycle.run(id, { step, owner })
  })
  const runner: Process = await env.start()
  const caller = await env.start({
    waitTimeout: 10_000,
    async executor(id) {
      queue.push(id)
    },
  })
  /** Has the engine take what waits; not awaited, as it dies at times. */
  async function work(): Promise<void> {
    for (const id of queue.splice(0)) await Promise.race([engine.start(id), env.time.advance(1)])
  }
  return { queue, engine, caller, runner, work }
}

describe('an executor', () => {
  it('runs the operation and returns its result to the caller', async () => {
    const env = createTestEnv()
    const { queue, engine, caller, work } = await setUp(env)
    const provisioning = caller.lifecycle.provision('acme')
    while (queue.length === 0) await Promise.resolve()
    await work()
    expect((await provisioning).state).toBe('active')
    expect(engine.done).toEqual(['create', 'stamp', 'migrate', 'seed', 'ready', 'activate'])
  })

  it('returns immediately with `wait: false`, and lists the operation', async () => {
    const env = createTestEnv()
    const { caller, work } = await setUp(env)
    const record = await caller.lifecycle.provision('acme', { wait: false })
    expect(record).toMatchObject({ state: 'provisioning' })
    expect((await caller.lifecycle.provision('acme', { wait: false })).operation).toEqual(record.operation)
    await work()
    expect((await caller.lifecycle.get('acme')).state).toBe('active')
    expect((await caller.lifecycle.operation(record.operation?.id ?? '')).state).toBe('succeeded')
  })

  it('continues after a crash before or after every step, also before the step is recorded', async () => {
    const steps = ['create', 'stamp', 'migrate', 'seed', 'ready', 'activate']
    for (const name of steps) {
      for (const when of ['before', 'after', 'unremembered'] as const) {
        const env = createTestEnv()
        const { caller, engine, work, queue } = await setUp(env)
        engine.die(name, when)
        const { id: operation = '' } =
          (await caller.lifecycle.provision('acme', { wait: false })).operation ?? {}
        await work()
        engine.live()
        // Immediately, because an instance with the same name need not wait until its own lease ends.
        queue.push(operation)
        await work()
        expect((await caller.lifecycle.get('acme')).state, `${when} ${name}`).toBe('active')
        const detail = await caller.lifecycle.operation(operation)
        expect(detail.state).toBe('succeeded')
        expect(
          engine.done.filter((step, index) => engine.done.indexOf(step) !== index),
          `${when} ${name}`,
        ).toEqual([])
        expect(env.service.calls.filter((call) => call.startsWith('create'))).toEqual(['create tenant_acme'])
      }
    }
  })

  it('keeps an operation that was taken over when its first engine continues', async () => {
    const env = createTestEnv()
    const { caller, engine, runner, work, queue } = await setUp(env)
    engine.die('migrate', 'before')
    const { id: operation = '' } = (await caller.lifecycle.provision('acme', { wait: false })).operation ?? {}
    await work()
    await env.time.advance(LEASE)
    await runner.lifecycle.sweep()
    expect((await caller.lifecycle.get('acme')).state).toBe('active')
    engine.live()
    queue.push(operation)
    await work()
    expect((await caller.lifecycle.get('acme')).state).toBe('active')
    expect((await caller.lifecycle.operation(operation)).state).toBe('succeeded')
  })

  it('fails the operation with an error that the engine recreated', async () => {
    const env = createTestEnv()
    const { caller, work, queue, engine } = await setUp(env)
    const failing = await env.start({
      around: async (member, run) => {
        if (member === 'batch') throw new TenancyError('quota_exceeded', 'full')
        return run()
      },
    })
    const { id: operation = '' } = (await caller.lifecycle.provision('acme', { wait: false })).operation ?? {}
    queue.length = 0
    await failing.lifecycle.run(operation, {
      owner: 'x',
      step: {
        do: (_name, run) =>
          run().catch((error) => {
            throw new Error(error.message)
          }),
      },
    })
    const detail = await caller.lifecycle.operation(operation)
    expect(detail).toMatchObject({ state: 'failed', error: { code: 'quota_exceeded', step: 'stamp' } })
    expect(await caller.lifecycle.get('acme')).toMatchObject({ state: 'failed' })
    // And again, by way of the engine.
    await caller.lifecycle.provision('acme', { wait: false })
    await work()
    expect((await caller.lifecycle.get('acme')).state).toBe('active')
    expect(engine.done).toContain('stamp')
  })

  it('leaves a waiting operation to the engine until its deadline, and completes it afterwards', async () => {
    const env = createTestEnv()
    const { caller, runner, queue } = await setUp(env)
    await caller.lifecycle.provision('acme', { wait: false })
    await env.time.advance(1_000)
    expect((await runner.lifecycle.sweep()).finished).toEqual([])
    expect(queue).toHaveLength(1)
    await env.time.advance(LEASE)
    expect((await runner.lifecycle.sweep()).finished).toHaveLength(1)
    expect((await caller.lifecycle.get('acme')).state).toBe('active')
  })

  it('reports a coded error when the engine rejects the operation, which a sweep completes', async () => {
    const env = createTestEnv()
    const broken = await env.start({ executor: async () => Promise.reject(new Error('the queue is gone')) })
    const error = await broken.lifecycle.provision('acme').catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(TenancyError)
    await env.time.advance(LEASE)
    await (await env.start()).lifecycle.sweep()
    expect((await broken.lifecycle.get('acme')).state).toBe('active')
  })

  it('receives every operation, including due purges', async () => {
    const env = createTestEnv()
    const { caller, work, queue } = await setUp(env)
    const step = async (begun: Promise<unknown>) => {
      await begun
      await work()
    }
    await step(caller.lifecycle.provision('acme', { wait: false }))
    await step(caller.lifecycle.suspend('acme', { wait: false }))
    await step(caller.lifecycle.resume('acme', { wait: false }))
    await step(caller.lifecycle.deprovision('acme', { wait: false, retention: 1 }))
    expect((await caller.lifecycle.get('acme')).state).toBe('deleted')
    await step(caller.lifecycle.undelete('acme', { wait: false }))
    expect((await caller.lifecycle.get('acme')).state).toBe('active')
    await step(caller.lifecycle.deprovision('acme', { wait: false, retention: 1 }))
    await env.time.advance(10)
    // Handed over is not purged.
    expect((await caller.lifecycle.sweep()).purged).toEqual([])
    expect(queue).toHaveLength(1)
    await work()
    expect(await getOutcome(caller.lifecycle.get('acme'))).toBe('tenant_not_found')
    expect(env.service.databases.size).toBe(0)
  })
})
