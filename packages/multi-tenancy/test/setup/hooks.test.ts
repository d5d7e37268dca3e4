import { createGate, getOutcome } from '@tenantry/test-support'
import { describe, expect, test, vi } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import type { DatabaseIsolation } from '../../src/request/env.ts'
import { type MultiTenancyConfig, setupMultiTenancy } from '../../src/setup.ts'
import { createTestEnv, LEASE, type Process, type TestEnv } from '../lifecycle/test-env.ts'

const NAMES = [
  'beforeCreate', 'onProvision', 'afterCreate', 'beforeUpdate', 'afterUpdate', 'beforeDelete', 'onDeprovision',
  'afterDelete',
] as const // biome-ignore format: one list
type Name = (typeof NAMES)[number]
type Own = Partial<MultiTenancyConfig<any>> & { source?: Partial<DatabaseIsolation<any>> }

const setUp = ({ factory }: Process, { source, ...config }: Own = {}) =>
  setupMultiTenancy({ databaseIsolation: { ...factory, ...source }, ...config })

/** A configuration whose hooks write down that they ran; those in `failing` throw. */
function recording(failing: readonly Name[] = [], error: unknown = new Error('no')) {
  const calls: string[] = []
  const onHookError = vi.fn()
  const step = (name: Name) => async (id: string) => {
    calls.push(`${name} ${id}`)
    if (failing.includes(name)) throw error
  }
  const all = Object.fromEntries(NAMES.map((name) => [name, step(name)])) as Record<
    Name,
    ReturnType<typeof step>
  >
  const { onProvision, onDeprovision, ...hooks } = all
  return {
    calls,
    onHookError,
    own: { hooks, onHookError, source: { onProvision, onDeprovision } } satisfies Own,
  }
}

/** Sorted, because simulated time stands still while an operation runs. */
async function listOperations({ lifecycle }: Process, id = 'acme'): Promise<string[]> {
  const { operations } = await lifecycle.operations(id).catch(() => ({ operations: [] }))
  return operations.map(({ kind, state }) => `${kind} ${state}`).sort()
}

const listSteps = async ({ db }: TestEnv) =>
  (await db.selectFrom('tenantry_operation_steps').select('name').orderBy('started_at').execute()).map(
    ({ name }) => name,
  )

describe('with a catalog', () => {
  test('calls every hook in order, with the arguments of the call', async () => {
    const env = createTestEnv()
    const process = await env.start()
    const { own, calls, onHookError } = recording()
    const requests: unknown[] = []
    const { tenants } = setUp(process, {
      ...own,
      hooks: {
        ...own.hooks,
        async beforeCreate(id, request) {
          await own.hooks.beforeCreate(id)
          requests.push(request)
        },
        async beforeUpdate(id, request) {
          await own.hooks.beforeUpdate(id)
          requests.push(request)
        },
        async beforeDelete(id, request) {
          await own.hooks.beforeDelete(id)
          requests.push(request)
        },
      },
    })
    await tenants.create('acme', { metadata: { plan: 'pro' } })
    await tenants.update('acme', { plan: null })
    await tenants.delete('acme', { retention: 5_000 })
    expect(calls).toEqual(NAMES.map((name) => `${name} acme`))
    expect(requests).toEqual([
      { metadata: { plan: 'pro' }, placement: undefined },
      { metadata: { plan: null } },
      { retention: 5_000 },
    ])
    expect(onHookError).not.toHaveBeenCalled()
    const steps = await listSteps(env)
    for (const step of ['onProvision', 'afterCreate', 'onDeprovision', 'afterDelete'])
      expect(steps).toContain(step)
  })

  test('rejects a tenant during onProvision, serves it in afterCreate and keeps its database beyond afterDelete', async () => {
    const process = await createTestEnv().start()
    const seen: string[] = []
    const look = (when: string) => async (id: string) => {
      seen.push(`${when}: ${await getOutcome(process.factory.getAdapters(id))}`)
    }
    const { tenants } = setUp(process, {
      source: { onProvision: look('onProvision'), onDeprovision: look('onDeprovision') },
      hooks: { afterCreate: look('afterCreate'), afterDelete: look('afterDelete') },
    })
    await tenants.create('acme')
    await tenants.delete('acme')
    expect(seen).toEqual([
      'onProvision: tenant_not_ready',
      'afterCreate: succeeded',
      'onDeprovision: tenant_not_found',
      'afterDelete: tenant_not_found',
    ])
    expect(await tenants.undelete('acme')).toMatchObject({ state: 'active' })
  })

  test('stops before anything is recorded when a before-hook throws', async () => {
    const error = new TenancyError('quota_exceeded', 'three tenants is what you pay for')
    for (const cause of [error, new Error('no')]) {
      const env = createTestEnv()
      const process = await env.start()
      const { own, calls } = recording(['beforeCreate', 'beforeUpdate', 'beforeDelete'], cause)
      const { tenants } = setUp(process, own)
      const code = cause === error ? 'quota_exceeded' : 'internal'
      await expect(tenants.create('acme')).rejects.toMatchObject({ code })
      expect(await getOutcome(tenants.get('acme'))).toBe('tenant_not_found')
      expect(env.service.databases.size).toBe(0)

      await process.lifecycle.provision('acme', { metadata: { kept: true } })
      await expect(tenants.update('acme', { kept: false })).rejects.toMatchObject({ code })
      await expect(tenants.delete('acme')).rejects.toMatchObject({ code })
      expect(await tenants.get('acme')).toMatchObject({ state: 'active', metadata: { kept: true } })
      expect(await listOperations(process)).toEqual(['provision succeeded'])
      expect(calls).toEqual(['beforeCreate acme', 'beforeUpdate acme', 'beforeDelete acme'])
    }
  })

  test('calls a before-hook once, and only when the call changes the tenant', async () => {
    const process = await createTestEnv().start()
    const { own, calls } = recording()
    const { tenants } = setUp(process, own)
    const count = (name: Name) => calls.filter((call) => call.startsWith(name)).length
    const request = { key: 'k', hash: 'h' }
    await tenants.create('acme', { request })
    await tenants.create('acme', { request })
    await tenants.create('acme')
    expect(await getOutcome(tenants.create('acme', { exclusive: true }))).toBe('conflict')
    expect(await getOutcome(tenants.create('WWW'))).toBe('invalid_tenant_id')
    expect(await getOutcome(tenants.create('globex', { metadata: { a: {} as never } }))).toBe(
      'invalid_request',
    )
    expect([count('beforeCreate'), count('afterCreate')]).toEqual([1, 1])
    expect(await getOutcome(tenants.update('unknown', {}))).toBe('tenant_not_found')
    expect(await getOutcome(tenants.update('acme', { a: {} as never }))).toBe('invalid_request')
    expect(count('beforeUpdate')).toBe(0)
    await tenants.delete('unknown')
    await tenants.delete('acme', { retention: 0 })
    await tenants.delete('acme')
    expect([count('beforeDelete'), count('onDeprovision'), count('afterDelete')]).toEqual([1, 1, 1])
    expect(await listOperations(process)).toEqual([
      'deprovision succeeded',
      'provision succeeded',
      'purge succeeded',
    ])
  })

  test('calls a before-hook once, also when the record changes concurrently', async () => {
    const process = await createTestEnv().start()
    const { lifecycle } = process
    let updates = 0
    const disturb = async (id: string) => {
      updates += 1
      await lifecycle.update(id, { disturbed: updates })
    }
    const { tenants } = setUp(process, { hooks: { beforeUpdate: disturb, beforeDelete: disturb } })
    await tenants.create('acme')
    expect(await tenants.update('acme', { mine: true })).toMatchObject({
      metadata: { disturbed: 1, mine: true },
    })
    expect(await tenants.delete('acme')).toMatchObject({ state: 'deleted', metadata: { disturbed: 2 } })
    expect(updates).toBe(2)
  })

  test('runs the hooks once for concurrent creates of one tenant', async () => {
    const env = createTestEnv()
    const [one, two] = [await env.start(), await env.start()]
    const { own, calls } = recording()
    const all = [setUp(one, own), setUp(two, own)].flatMap(({ tenants }) =>
      Array.from({ length: 5 }, () => tenants.create('acme')),
    )
    const records = (await Promise.all(all)) as { uid?: string; state: string }[]
    expect(new Set(records.map(({ uid }) => uid)).size).toBe(1)
    for (const { state } of records) expect(state).toBe('active')
    for (const name of ['onProvision', 'afterCreate']) {
      expect(calls.filter((call) => call.startsWith(name))).toHaveLength(1)
    }
  })

  test.each(['onProvision', 'onDeprovision'] as const)(
    'a failing %s fails the operation with its own words, and a retry goes on from there',
    async (name) => {
      const process = await createTestEnv().start()
      const failing: Name[] = [name]
      // To a provider this would be a network error to try again.
      const { own, calls } = recording(failing, Object.assign(new Error('no DNS'), { code: 'ECONNREFUSED' }))
      const { tenants } = setUp(process, own)
      const run = () => tenants.create('acme').then(() => tenants.delete('acme'))
      await expect(run()).rejects.toMatchObject({ code: 'internal', step: name })
      expect(await tenants.get('acme')).toMatchObject({
        state: 'failed',
        error: { code: 'internal', message: `${name}: no DNS`, step: name },
      })
      failing.pop()
      calls.length = 0
      await tenants.retry('acme')
      // A before-hook that has allowed the operation is not called again.
      const [after, state] = name === 'onProvision' ? ['afterCreate', 'active'] : ['afterDelete', 'deleted']
      expect(calls).toEqual([`${name} acme`, `${after} acme`])
      expect(await tenants.get('acme')).toMatchObject({ state, error: undefined })
    },
  )

  test.each(['afterCreate', 'afterUpdate', 'afterDelete'] as const)(
    'reports a failing %s, and completes the operation',
    async (name) => {
      const process = await createTestEnv().start()
      const { own, calls, onHookError } = recording([name])
      const { tenants } = setUp(process, own)
      onHookError.mockRejectedValueOnce(new Error('no log'))
      await tenants.create('acme')
      await tenants.update('acme', { a: 1 })
      expect(await tenants.get('acme')).toMatchObject({ state: 'active', metadata: { a: 1 } })
      expect(await tenants.delete('acme')).toMatchObject({ state: 'deleted' })
      expect(calls).toHaveLength(NAMES.length)
      const expected = { code: 'internal', step: name, tenantId: 'acme', detail: `${name}: no` }
      expect(onHookError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining(expected))
    },
  )

  test.each(['onProvision', 'afterCreate'] as const)(
    'when the process dies in %s, another one that has the hooks finishes, and only that',
    async (name) => {
      const env = createTestEnv()
      const dying = await env.start()
      const died = createGate()
      const { own } = recording()
      const deadly = () => {
        died.open()
        return new Promise<never>(() => {})
      }
      const { tenants } = setUp(dying, {
        ...own,
        ...(name === 'onProvision'
          ? { source: { onProvision: deadly } }
          : { hooks: { afterCreate: deadly } }),
      })
      void tenants.create('acme')
      await died.opened
      await env.time.advance(LEASE + 1)

      const bare = await env.start()
      expect((await bare.lifecycle.sweep()).finished).toEqual([])
      const heir = await env.start()
      const { own: left, calls } = recording()
      setUp(heir, left)
      expect((await heir.lifecycle.sweep()).finished).toMatchObject([{ kind: 'provision', tenantId: 'acme' }])
      const rest = name === 'onProvision' ? ['onProvision acme', 'afterCreate acme'] : ['afterCreate acme']
      expect(calls).toEqual(rest)
      expect(await heir.lifecycle.get('acme')).toMatchObject({ state: 'active', operation: undefined })
    },
  )

  test("records a hook's progress and keeps its lease alive", async () => {
    const env = createTestEnv()
    const [one, two] = [await env.start(), await env.start()]
    const { tenants } = setUp(one, {
      source: {
        async onProvision(_, { report }) {
          for (let part = 1; part <= 3; part++) {
            await env.time.advance(LEASE - 1_000)
            await report(`${part} of 3`)
            const { operations } = await two.lifecycle.operations('acme')
            const { steps } = await two.lifecycle.operation(operations[0]?.id ?? '')
            expect(steps.at(-1)).toMatchObject({
              step: 'onProvision',
              outcome: 'started',
              detail: `${part} of 3`,
            })
            expect((await two.lifecycle.sweep()).finished).toEqual([])
          }
        },
      },
    })
    setUp(two, { source: { onProvision: () => Promise.reject(new Error('taken over')) } })
    expect(await tenants.create('acme')).toMatchObject({ state: 'active' })
  })

  test('runs no hooks for operations that bypass the set-up', async () => {
    const process = await createTestEnv().start()
    const { own, calls } = recording()
    setUp(process, own)
    await process.factory.provision('acme')
    await process.lifecycle.suspend('acme')
    await process.factory.deprovision('acme')
    expect(calls).toEqual([])
  })

  test('rejects a second set-up of a factory whose operations run hooks', async () => {
    const process = await createTestEnv().start()
    setUp(process)
    setUp(process, { hooks: { beforeCreate: () => {} } })
    setUp(process, { hooks: { afterCreate: () => {} } })
    expect(() => setUp(process, { hooks: { afterDelete: () => {} } })).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        detail: expect.stringMatching(/^databaseIsolation:/),
      }),
    )
  })
})

describe('a hook that calls the operation it belongs to', () => {
  test("accepts the factory's members as hooks", async () => {
    const env = createTestEnv()
    const process = await env.start()
    const { provision: onProvision, deprovision: onDeprovision } = process.factory
    const { tenants } = setUp(process, { source: { onProvision, onDeprovision } })
    expect(await tenants.create('acme')).toMatchObject({ state: 'active' })
    expect(await tenants.delete('acme')).toMatchObject({ state: 'deleted' })
    expect(await listOperations(process)).toEqual(['deprovision succeeded', 'provision succeeded'])
  })

  test("provisions the tenant, then runs the app's work, as the specification does", async () => {
    const process = await createTestEnv().start()
    const { factory } = process
    const log: string[] = []
    const { tenants, hooks } = setUp(process, {
      source: {
        onProvision: async (tenantId) => {
          await factory.provision(tenantId)
          log.push(`migrated ${tenantId}`)
        },
        onDeprovision: async (tenantId) => {
          log.push(`saved ${tenantId}`)
          await factory.deprovision(tenantId)
          log.push(`cleaned ${tenantId}`)
        },
      },
    })
    await tenants.create('acme')
    await tenants.delete('acme')
    // Called by themselves they are the whole of it.
    await hooks.onProvision('globex')
    expect(await tenants.get('globex')).toMatchObject({ state: 'active' })
    await hooks.onDeprovision('globex')
    expect(await tenants.get('globex')).toMatchObject({ state: 'deleted' })
    const each = (id: string) => [`migrated ${id}`, `saved ${id}`, `cleaned ${id}`]
    expect(log).toEqual([...each('acme'), ...each('globex')])
  })

  test('handles many tenants concurrently, and several calls in one hook', async () => {
    const process = await createTestEnv().start()
    const { factory } = process
    const { tenants } = setUp(process, {
      source: {
        onProvision: async (id) => void (await Promise.all([1, 2, 3].map(() => factory.provision(id)))),
        onDeprovision: async (id) => void (await Promise.all([1, 2].map(() => factory.deprovision(id)))),
      },
    })
    const ids = Array.from({ length: 8 }, (_, index) => `t${index}`)
    const created = await Promise.all(ids.map((id) => tenants.create(id)))
    expect(created.map(({ state }) => state)).toEqual(ids.map(() => 'active'))
    await Promise.all(ids.map((id) => tenants.delete(id)))
    for (const id of ids) {
      expect(await listOperations(process, id)).toEqual(['deprovision succeeded', 'provision succeeded'])
    }
  })

  test('provisions another tenant, and rejects the opposite operation of the same tenant', async () => {
    const process = await createTestEnv().start()
    const { factory } = process
    const { tenants } = setUp(process, {
      source: {
        async onProvision(id) {
          if (id !== 'acme') return
          await factory.provision('annex')
          expect(await getOutcome(factory.getAdapters('annex'))).toBe('succeeded')
          expect(await getOutcome(factory.deprovision('acme'))).toBe('conflict')
        },
      },
    })
    expect(await tenants.create('acme')).toMatchObject({ state: 'active' })
  })

  test('lets other callers wait for the whole operation', async () => {
    const process = await createTestEnv().start()
    const gate = createGate()
    const { tenants } = setUp(process, {
      source: {
        async onProvision() {
          await gate.pass()
        },
      },
    })
    const first = tenants.create('acme')
    await gate.reached
    let done = false
    const second = tenants.create('acme').then((record) => {
      done = true
      return record
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(done).toBe(false)
    gate.open()
    expect((await second).state).toBe('active')
    expect((await first).state).toBe('active')
  })

  test('runs a provision as usual after the step has ended', async () => {
    const process = await createTestEnv().start()
    const { tenants } = setUp(process, {
      source: { onProvision: () => Promise.reject(new Error('no')) },
    })
    expect(await getOutcome(tenants.create('acme'))).toBe('internal')
    await process.factory.provision('acme')
    expect(await getOutcome(process.factory.getAdapters('acme'))).toBe('succeeded')
  })
})
