import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { TenancyError } from '@tenantry/multi-tenancy'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createBindingMethod } from '../src/access/binding-method.ts'
import {
  createD1Factory,
  createD1Provider,
  type D1Database,
  type D1ProviderOptions,
  d1Info,
} from '../src/index.ts'
import { call } from './access-methods.ts'
import { type Bindings, startBindings } from './bindings.ts'
import { dispatchWay, NAMESPACE, SECRET } from './harness.ts'
import { failure } from './test-account.ts'

let emulator: CloudflareEmulator
let bindings: Bindings
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  bindings = await startBindings(emulator, 10)
})
afterAll(async () => {
  await bindings?.close()
  await emulator?.close()
})

const account = (): Pick<D1ProviderOptions, 'accountId' | 'apiToken' | 'fetch' | 'rateLimit'> => {
  const { accountId, apiToken, fetch } = emulator
  return { accountId, apiToken, fetch, rateLimit: 1_000_000 }
}
const verify = async (): Promise<void> => {}
const UUID = '51e7c314-456e-4167-b6c3-869ad188fc23'

describe('bindings', () => {
  test('no two databases of one prefix have a binding’s name in common', async () => {
    // `_` stands before a hash, and before a generation.
    const id = fc.stringMatching(/^[a-z0-9](?:[-_]?[a-z0-9]){0,8}$/)
    await fc.assert(
      // Also those that differ in their punctuation alone.
      fc.asyncProperty(
        id,
        fc.oneof(id, fc.constant('')),
        fc.constantFrom('tenant_', 'my-app_', 't'),
        async (a, other, prefix) => {
          const b = other || a.replace(/[-_]/, (mark) => (mark === '-' ? '_' : '-'))
          fc.pre(a !== b)
          const seen: string[] = []
          const env = new Proxy({}, { has: (_, name) => seen.push(String(name)) === 0 })
          for (const each of [a, b])
            await createBindingMethod({ kind: 'binding', env }).open(
              { name: prefix + each, uuid: UUID },
              { purpose: 'serve' },
            )
          expect(seen[0]).not.toBe(seen[1])
          expect(seen[0]).toMatch(/^DB_[A-Z0-9_]+$/)
        },
      ),
    )
  })

  test('one that leads to another tenant’s database is not served', async () => {
    const shared = await bindings.fresh()
    const factory = createD1Factory({
      ...account(),
      access: [{ kind: 'binding', env: { shared }, bindingOf: () => 'shared' }],
    })
    await factory.provision('first')
    const error = await failure(factory.provision('second'))
    expect(error.code).toBe('wrong_tenant')
    const { db } = await factory.getAdapters('first')
    expect(await db.selectFrom('tenantry_identity').select('tenant_id').execute()).toEqual([
      { tenant_id: 'first' },
    ])
  })

  test('one that is no D1 database is a set-up mistake', async () => {
    const provider = createD1Provider({ ...account(), access: [{ kind: 'binding', env: { DB_X: 'text' } }] })
    const error = await failure(
      provider.connect({ locator: { name: 'x', uuid: UUID }, purpose: 'manage', verify }, call),
    )
    expect(error.code).toBe('config_invalid')
    expect(error.message).toContain('DB_X')
  })
})

describe('the ways are tried in order', () => {
  const kindOf = async (access: D1ProviderOptions['access'], name: string): Promise<string> => {
    const provider = createD1Provider({ ...account(), ...(access && { access }) })
    const { locator } = await provider.create(name, call)
    return d1Info(await provider.connect({ locator, purpose: 'manage', verify }, call)).access
  }

  test('and the first that leads there wins', async () => {
    const env = { DB_BOUND: await bindings.fresh() }
    const all = [{ kind: 'binding', env }, dispatchWay(emulator), { kind: 'rest' }] as const
    expect(await kindOf(all, 'bound')).toBe('binding')
    expect(await kindOf(all, 'unbound')).toBe('dispatch')
    expect(await kindOf([{ kind: 'binding', env }, { kind: 'rest' }], 'other')).toBe('rest')
    expect(await kindOf(undefined, 'default')).toBe('rest')
  })

  test('where none does, it is said whether the database is there', async () => {
    const provider = createD1Provider({ ...account(), access: [{ kind: 'binding', env: {} }] })
    const { locator } = await provider.create('unreached', call)
    expect((await failure(provider.connect({ locator, purpose: 'manage', verify }, call))).code).toBe(
      'not_supported',
    )
    await provider.drop(locator, call)
    expect((await failure(provider.connect({ locator, purpose: 'manage', verify }, call))).code).toBe(
      'tenant_not_found',
    )
  })
})

test('a way says what it cannot do, and refuses it with a code', async () => {
  const provider = createD1Provider(account())
  const { locator } = await provider.create('cannot', call)
  const client: D1Database = await provider.connect({ locator, purpose: 'manage', verify }, call)
  expect(d1Info(client)).toMatchObject({ name: 'cannot', access: 'rest', sessions: false })
  expect(() => client.withSession()).toThrow(expect.objectContaining({ code: 'not_supported' }))
  expect((await failure(client.dump())).code).toBe('not_supported')
  expect(() => d1Info({} as D1Database)).toThrow(TenancyError)
})

test('a wrong argument is a TypeError, and no statement is sent', async () => {
  const provider = createD1Provider(account())
  const { locator } = await provider.create('wrong-argument', call)
  const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
  emulator.requests.length = 0
  await expect(client.exec(undefined as never)).rejects.toThrow(TypeError)
  await expect(client.batch(undefined as never)).rejects.toThrow(TypeError)
  await expect(client.batch([{}] as never)).rejects.toThrow('batch() accepts only statements')
  expect(emulator.requests).toEqual([])
})

test('a request through a tenant’s Worker has the limits that were asked for', async () => {
  const seen: unknown[] = []
  const inner = emulator.dispatcher(NAMESPACE)
  const dispatcher = {
    get(name: string, args?: object, options?: object) {
      seen.push(options)
      return inner.get(name, args, options)
    },
  }
  const access = [
    { kind: 'dispatch', namespace: NAMESPACE, secret: SECRET, dispatcher, limits: { cpuMs: 50 } },
  ] as const
  const provider = createD1Provider({ ...account(), access })
  const { locator } = await provider.create('limited', call)
  await (await provider.connect({ locator, purpose: 'manage', verify }, call)).prepare('SELECT 1').all()
  expect(seen).toEqual([{ limits: { cpuMs: 50 } }])
})

test('what of the limits does not fit is said in sentences', async () => {
  const rest = createD1Provider(account())
  expect(await rest.diagnose?.({ tenants: 3 }, call)).toEqual([expect.stringContaining('`rest` is first')])
  expect((await rest.diagnose?.({ tenants: 60_000 }, call))?.join(' ')).toMatch(/Free plan.*50,000 databases/)
  const bound = createD1Provider({ ...account(), access: [{ kind: 'binding', env: {} }] })
  expect(await bound.diagnose?.({ tenants: 3 }, call)).toEqual([])
  expect((await bound.diagnose?.({ tenants: 6_000 }, call))?.join(' ')).toContain('about 5,000 D1 bindings')
})

describe('a set-up mistake names its option', () => {
  const secret = SECRET
  test.each<[string, Record<string, unknown>]>([
    ['accountId', { accountId: '../x' }],
    ['accountId', { accountId: undefined }],
    ['apiToken', { apiToken: '' }],
    ['apiToken', { apiToken: 'two words' }],
    ['access', { access: [] }],
    ['access', { access: [{ kind: 'telepathy' }] }],
    ['access', { access: [{ kind: 'binding' }] }],
    ['access', { access: [{ kind: 'dispatch', namespace: 'a/b', secret }] }],
    ['access', { access: [{ kind: 'dispatch', namespace: 'a', secret: 'short' }] }],
    ['access', { access: [{ kind: 'dispatch', namespace: 'a', secret, dispatcher: {} }] }],
    ['access', { access: [dispatchOf('a'), dispatchOf('b')] }],
    ['placement', { placement: 'mars' }],
    ['readReplication', { readReplication: 'yes' }],
    ['rateLimit', { rateLimit: 0 }],
    ['requestTimeout', { requestTimeout: -1 }],
    ['pageSize', { pageSize: 5 }],
    ['baseUrl', { baseUrl: 'http://api.example.com' }],
    ['baseUrl', { baseUrl: 'nowhere' }],
  ])('%s in %j', (option, wrong) => {
    const options = { accountId: 'a'.repeat(32), apiToken: 'token-token', ...wrong }
    const make = (): unknown => createD1Provider(options as never)
    expect(make).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(make).toThrow(`[config_invalid] ${option}`)
  })

  function dispatchOf(namespace: string): Record<string, unknown> {
    return { kind: 'dispatch', namespace, secret }
  }
})
