import { getOutcome } from '@tenantry/test-support'
import { describe, expect, it } from 'vitest'
import type { OperationHooks } from '../../src/types/lifecycle.ts'
import { createTestEnv, LEASE } from './test-env.ts'

function recording(log: string[], fail: Partial<Record<keyof OperationHooks, Error>> = {}): OperationHooks {
  const hook = (name: keyof OperationHooks) => async (id: string) => {
    log.push(`${name} ${id}`)
    const error = fail[name]
    if (error) throw error
  }
  return {
    onProvision: hook('onProvision'),
    onDeprovision: hook('onDeprovision'),
    afterCreate: hook('afterCreate'),
    afterDelete: hook('afterDelete'),
    onHookError: ({ message, step }) => void log.push(`error in ${step}: ${message}`),
  }
}

describe('hooks as steps of an operation', () => {
  it('run in order as recorded steps, only for operations that began with hooks', async () => {
    const env = createTestEnv()
    const log: string[] = []
    const { lifecycle } = await env.start({ hooks: recording(log) })
    await lifecycle.provision('acme', { hooks: true })
    const { operations } = await lifecycle.operations('acme')
    const { steps } = await lifecycle.operation(operations[0]?.id ?? '')
    expect(steps.map(({ step, outcome: end }) => `${step} ${end}`)).toEqual(
      ['create', 'stamp', 'migrate', 'seed', 'onProvision', 'ready', 'activate', 'afterCreate'].map(
        (step) => `${step} succeeded`,
      ),
    )
    await lifecycle.deprovision('acme', { hooks: true })
    expect(log).toEqual(['onProvision acme', 'afterCreate acme', 'onDeprovision acme', 'afterDelete acme'])
    await lifecycle.provision('beta')
    await lifecycle.deprovision('beta')
    expect(log).toHaveLength(4)
  })

  it('fail the operation when they throw before it, and run again when it is repeated', async () => {
    const env = createTestEnv()
    const log: string[] = []
    const fail: Partial<Record<keyof OperationHooks, Error>> = { onProvision: new Error('billing is down') }
    const { lifecycle, factory } = await env.start({ hooks: recording(log, fail) })
    expect(await getOutcome(lifecycle.provision('acme', { hooks: true }))).not.toBe('succeeded')
    expect(await lifecycle.get('acme')).toMatchObject({ state: 'failed', error: { step: 'onProvision' } })
    expect(await getOutcome(factory.getAdapters('acme'))).toBe('tenant_not_ready')
    delete fail.onProvision
    // As it was begun: with hooks.
    expect((await lifecycle.retry('acme')).state).toBe('active')
    expect(log).toEqual(['onProvision acme', 'onProvision acme', 'afterCreate acme'])
    fail.onDeprovision = new Error('still in use')
    expect(await getOutcome(lifecycle.deprovision('acme', { hooks: true }))).not.toBe('succeeded')
    expect(await lifecycle.get('acme')).toMatchObject({ state: 'failed', error: { step: 'onDeprovision' } })
    expect(env.service.databases.size).toBe(1)
    delete fail.onDeprovision
    expect((await lifecycle.retry('acme')).state).toBe('deleted')
  })

  it('report an error after the operation without changing its result', async () => {
    const env = createTestEnv()
    const log: string[] = []
    const { lifecycle } = await env.start({
      hooks: recording(log, { afterCreate: new Error('no mail'), afterDelete: new Error('no mail') }),
    })
    expect((await lifecycle.provision('acme', { hooks: true })).state).toBe('active')
    expect((await lifecycle.deprovision('acme', { hooks: true }))?.state).toBe('deleted')
    expect(log.filter((line) => line.startsWith('error'))).toHaveLength(2)
    const { operations } = await lifecycle.operations('acme')
    expect(operations.map(({ state }) => state)).toEqual(['succeeded', 'succeeded'])
  })

  it('continue after a crash in a process that has them, without repeating completed steps', async () => {
    const env = createTestEnv()
    const log: string[] = []
    let dead = false
    const dying = await env.start({
      hooks: {
        ...recording(log),
        onProvision: (id) => {
          log.push(`onProvision ${id}`)
          dead = true
          return new Promise<never>(() => {})
        },
      },
    })
    void dying.lifecycle.provision('acme', { hooks: true })
    while (!dead) await env.time.advance(1)
    await env.time.advance(LEASE)
    const without = await env.start()
    expect((await without.lifecycle.sweep()).finished).toEqual([])
    expect((await without.lifecycle.get('acme')).state).toBe('provisioning')
    env.service.calls.length = 0
    const own = await env.start({ hooks: recording(log) })
    expect((await own.lifecycle.sweep()).finished).toMatchObject([{ kind: 'provision', tenantId: 'acme' }])
    expect((await own.lifecycle.get('acme')).state).toBe('active')
    expect(log).toEqual(['onProvision acme', 'onProvision acme', 'afterCreate acme'])
    expect(env.service.calls.filter((call) => call.startsWith('create'))).toEqual([])
  })

  it('can be set once', async () => {
    const { lifecycle } = await createTestEnv().start({ hooks: {} })
    expect(() => lifecycle.attachHooks({})).toThrow(/hooks/)
  })
})
