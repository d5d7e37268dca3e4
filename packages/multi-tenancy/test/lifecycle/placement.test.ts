import { expect, test } from 'vitest'
import { createCatalog } from '../../src/catalog.ts'
import { TenancyError } from '../../src/errors.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import {
  createMemoryProvider,
  createMemoryServer,
  type MemoryClient,
  openSqlite,
} from '../../src/memory/index.ts'
import type { TenantProvider } from '../../src/types/provider.ts'

const server = createMemoryServer()
const db = openSqlite()

function process(own: Partial<TenantProvider<MemoryClient>>) {
  const { lifecycle } = defineFactory(
    { ...createMemoryProvider(server), ...own },
    { catalog: createCatalog({ db, dialect: 'sqlite' }) },
  )
  if (lifecycle === undefined) throw new Error('The factory has no lifecycle')
  return lifecycle
}

test.each([
  ['of none', {}, 'there is one place only'],
  ['that is not among them', { placements: ['eu', 'us'] }, 'expected eu, us'],
])('rejects a placement %s before a record or a database is created', async (_, own, said) => {
  const lifecycle = process(own)
  const refused = lifecycle.provision('acme', { placement: 'mars' })
  await expect(refused).rejects.toMatchObject({ code: 'invalid_request', detail: `placement: ${said}` })
  await expect(lifecycle.get('acme')).rejects.toMatchObject({ code: 'tenant_not_found' })
  expect([...server.keys()]).toEqual([])
})

test('rejects a recorded placement that no longer exists instead of using another one', async () => {
  const before = process({
    placements: ['eu'],
    create: async () => {
      throw new TenancyError('provider_rejected', 'refused by the test')
    },
  })
  await expect(before.provision('globex', { placement: 'eu' })).rejects.toMatchObject({
    code: 'provider_rejected',
  })
  const after = process({ placements: ['us'] })
  await expect(after.provision('globex')).rejects.toMatchObject({ code: 'invalid_request' })
  expect([...server.keys()]).toEqual([])
})
