import { expect, test } from 'vitest'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createMemoryProvider, createMemoryServer } from '../../src/memory/index.ts'

test('completes a deletion that a crash interrupted after it had closed the database', async () => {
  const server = createMemoryServer()
  const provider = createMemoryProvider(server)
  const dying = {
    ...provider,
    async drop(...given: Parameters<typeof provider.drop>) {
      await provider.setAccess?.(given[0], 'closed', given[1])
      throw new Error('died')
    },
  }
  await defineFactory(provider).provision('acme')
  await expect(defineFactory(dying).deprovision('acme')).rejects.toThrow('died')
  expect([server.size, server.closed.size]).toEqual([1, 1])
  await defineFactory(provider).deprovision('acme')
  expect([server.size, server.closed.size]).toEqual([0, 0])
})

test("keeps a closed database closed that carries another tenant's stamp", async () => {
  const server = createMemoryServer()
  const provider = createMemoryProvider(server)
  await defineFactory(provider).provision('victim')
  const call = { signal: new AbortController().signal }
  const victim = (await provider.find('tenant_victim', call)) ?? {}
  await provider.setAccess?.(victim, 'closed', call)
  const swapped = { ...provider, find: async () => victim }
  await expect(defineFactory(swapped).deprovision('acme')).rejects.toMatchObject({ code: 'wrong_tenant' })
  expect([server.size, server.closed.size]).toEqual([1, 1])
})
