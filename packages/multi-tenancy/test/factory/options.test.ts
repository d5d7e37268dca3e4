import { describe, expect, test } from 'vitest'
import { createMemoryFactory } from '../../src/memory/index.ts'

const create = (options: object) => () => createMemoryFactory(options as never)

describe('options of a factory', () => {
  test.each([
    [{ migratons: {} }, 'migratons'],
    [{ databasePrefx: 'a_' }, 'databasePrefx'],
    [{ cache: { maxx: 1 } }, 'cache.maxx'],
    [{ databasePrefix: undefined }, 'databasePrefix'],
    [{ databasePrefix: 7 }, 'databasePrefix'],
  ])('%j is refused by name', (options, named) => {
    expect(create(options)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(create(options)).toThrow(named)
  })

  test('all that there are, are taken', () => {
    const options = {
      databasePrefix: 'a_',
      migrations: {},
      seed: async () => {},
      cache: {
        max: 1,
        ttl: 1,
        locatorMax: 1,
        locatorTtl: 1,
        negativeMax: 1,
        negativeTtl: 1,
        unknownLookups: 1,
      },
      reservedTenantIds: [],
      openTimeout: 1,
      stepTimeout: 1,
      environment: {},
      createAdapters: () => ({}),
    }
    expect(create(options)).not.toThrow()
  })
})
