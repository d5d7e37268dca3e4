import { expect, test } from 'vitest'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { recorded, virtualTime } from './world.ts'

test('where every request connects anew, an isolate reads a tenant’s stamp once while it remembers its locator', async () => {
  const world = virtualTime('workers')
  const { provider, calls } = recorded()
  const options = { environment: world, cache: { locatorTtl: 60_000 } }
  await defineFactory(provider, options).provision('acme')
  const factory = defineFactory(provider, options)
  await factory.getAdapters('acme')
  const { query, connect } = { ...calls }
  for (let request = 0; request < 10; request++) await factory.getAdapters('acme')
  expect(calls).toMatchObject({ query, connect: connect + 10 })
  world.advance(60_001)
  await factory.getAdapters('acme')
  expect(calls.query).toBe(query + 1)
})

test('what provision saw is not what a request needs to see', async () => {
  const { provider, calls } = recorded()
  const factory = defineFactory(provider, { environment: virtualTime('workers') })
  await factory.provision('acme')
  calls.query = 0
  await factory.getAdapters('acme')
  expect(calls.query).toBe(1)
})
