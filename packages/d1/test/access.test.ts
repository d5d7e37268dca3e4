import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { TenancyError } from '@tenantry/multi-tenancy'
import { captureError, neverAborted } from '@tenantry/test-support'
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
import { type Bindings, startBindings } from './bindings.ts'
import { dispatchAccess, NAMESPACE, SECRET } from './harness.ts'

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
  test('no two databases of one prefix have the same binding by default', async () => {
    // A hash and a generation follow a `_`.
    const id = fc.stringMatching(/^[a-z0-9](?:[-_]?[a-z0-9]){0,8}$/)
    await fc.assert(
      // Also names that differ in their punctuation alone.
      fc.asyncProperty(
        id,
        fc.oneof(id, fc.constant('')),
        fc.constantFrom('tenant_', 'my-app_', 't'),
        async (a, other, prefix) => {
          const b = other || a.replace(/[-_]/, (mark) => (mark === '-' ? '_' : '-'))
          fc.pre(a !== b)
          const bindingNames: string[] = []
          const env = new Proxy({}, { has: (_, name) => bindingNames.push(String(name)) === 0 })
          for (const name of [a, b])
            await createBindingMethod({ kind: 'binding', env }).open(
              { name: prefix + name, uuid: UUID },
              { purpose: 'serve' },
            )
          expect(bindingNames[0]).not.toBe(bindingNames[1])
          expect(bindingNames[0]).toMatch(/^DB_[A-Z0-9_]+$/)
        },
      ),
    )
  })

  test("a binding to another tenant's database is not served", async () => {
    const shared = await bindings.createDatabase()
    const factory = createD1Factory({
      ...account(),
      access: [{ kind: 'binding', env: { shared }, bindingOf: () => 'shared' }],
    })
    await factory.provision('first')
    const error = await captureError(factory.provision('second'))
    expect(error.code).toBe('wrong_tenant')
    const { db } = await factory.getAdapters('first')
    expect(await db.selectFrom('tenantry_identity').select('tenant_id').execute()).toEqual([
      { tenant_id: 'first' },
    ])
  })

  test('a member of env that is not a D1 binding is config_invalid', async () => {
    const provider = createD1Provider({ ...account(), access: [{ kind: 'binding', env: { DB_X: 'text' } }] })
    const error = await captureError(
      provider.connect({ locator: { name: 'x', uuid: UUID }, purpose: 'manage', verify }, neverAborted),
    )
    expect(error.code).toBe('config_invalid')
    expect(error.message).toContain('DB_X')
  })
})

describe('access methods are tried in order', () => {
  const findKind = async (access: D1ProviderOptions['access'], name: string): Promise<string> => {
    const provider = createD1Provider({ ...account(), ...(access && { access }) })
    const { locator } = await provider.create(name, neverAborted)
    return d1Info(await provider.connect({ locator, purpose: 'manage', verify }, neverAborted)).access
  }

  test('and the first that reaches the database serves it', async () => {
    const env = { DB_BOUND: await bindings.createDatabase() }
    const all = [{ kind: 'binding', env }, dispatchAccess(emulator), { kind: 'rest' }] as const
    expect(await findKind(all, 'bound')).toBe('binding')
    expect(await findKind(all, 'unbound')).toBe('dispatch')
    expect(await findKind([{ kind: 'binding', env }, { kind: 'rest' }], 'other')).toBe('rest')
    expect(await findKind(undefined, 'default')).toBe('rest')
  })

  test('and where none reaches it, the error says whether the database exists', async () => {
    const provider = createD1Provider({ ...account(), access: [{ kind: 'binding', env: {} }] })
    const { locator } = await provider.create('unreached', neverAborted)
    expect(
      (await captureError(provider.connect({ locator, purpose: 'manage', verify }, neverAborted))).code,
    ).toBe('not_supported')
    await provider.drop(locator, neverAborted)
    expect(
      (await captureError(provider.connect({ locator, purpose: 'manage', verify }, neverAborted))).code,
    ).toBe('tenant_not_found')
  })
})

test('d1Info describes the client, and unsupported methods are rejected with a code', async () => {
  const provider = createD1Provider(account())
  const { locator } = await provider.create('cannot', neverAborted)
  const client: D1Database = await provider.connect({ locator, purpose: 'manage', verify }, neverAborted)
  expect(d1Info(client)).toMatchObject({ name: 'cannot', access: 'rest', sessions: false })
  expect(() => client.withSession()).toThrow(expect.objectContaining({ code: 'not_supported' }))
  expect((await captureError(client.dump())).code).toBe('not_supported')
  expect(() => d1Info({} as D1Database)).toThrow(TenancyError)
})

test('a wrong argument is a TypeError, and no statement is sent', async () => {
  const provider = createD1Provider(account())
  const { locator } = await provider.create('wrong-argument', neverAborted)
  const client = await provider.connect({ locator, purpose: 'manage', verify }, neverAborted)
  emulator.requests.length = 0
  await expect(client.exec(undefined as never)).rejects.toThrow(TypeError)
  await expect(client.batch(undefined as never)).rejects.toThrow(TypeError)
  await expect(client.batch([{}] as never)).rejects.toThrow('batch() accepts only statements')
  expect(emulator.requests).toEqual([])
})

test("a request to a tenant's Worker has the configured limits", async () => {
  const options: unknown[] = []
  const inner = emulator.dispatcher(NAMESPACE)
  const dispatcher = {
    get(name: string, args?: object, requestOptions?: object) {
      options.push(requestOptions)
      return inner.get(name, args, requestOptions)
    },
  }
  const access = [
    { kind: 'dispatch', namespace: NAMESPACE, secret: SECRET, dispatcher, limits: { cpuMs: 50 } },
  ] as const
  const provider = createD1Provider({ ...account(), access })
  const { locator } = await provider.create('limited', neverAborted)
  await (await provider.connect({ locator, purpose: 'manage', verify }, neverAborted))
    .prepare('SELECT 1')
    .all()
  expect(options).toEqual([{ limits: { cpuMs: 50 } }])
})

test('diagnose describes the limits that a fleet exceeds', async () => {
  const rest = createD1Provider(account())
  expect(await rest.diagnose?.({ tenants: 3 }, neverAborted)).toEqual([
    expect.stringContaining('`rest` is first'),
  ])
  expect((await rest.diagnose?.({ tenants: 60_000 }, neverAborted))?.join(' ')).toMatch(
    /Free plan.*50,000 databases/,
  )
  const bound = createD1Provider({ ...account(), access: [{ kind: 'binding', env: {} }] })
  expect(await bound.diagnose?.({ tenants: 3 }, neverAborted)).toEqual([])
  expect((await bound.diagnose?.({ tenants: 6_000 }, neverAborted))?.join(' ')).toContain(
    'about 5,000 D1 bindings',
  )
})

describe('a wrong option is config_invalid and named', () => {
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
    ['access', { access: [createDispatchEntry('a'), createDispatchEntry('b')] }],
    ['placement', { placement: 'mars' }],
    ['readReplication', { readReplication: 'yes' }],
    ['rateLimit', { rateLimit: 0 }],
    ['requestTimeout', { requestTimeout: -1 }],
    ['pageSize', { pageSize: 5 }],
    ['baseUrl', { baseUrl: 'http://api.example.com' }],
    ['baseUrl', { baseUrl: 'nowhere' }],
  ])('%s in %j', (option, wrong) => {
    const options = { accountId: 'a'.repeat(32), apiToken: 'token-token', ...wrong }
    const create = (): unknown => createD1Provider(options as never)
    expect(create).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(create).toThrow(`[config_invalid] ${option}`)
  })

  function createDispatchEntry(namespace: string): Record<string, unknown> {
    return { kind: 'dispatch', namespace, secret }
  }
})
