import { describe, expect, test } from 'vitest'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createMemoryFactory, createMemoryProvider } from '../../src/memory/index.ts'

const create = (options: object) => () => createMemoryFactory(options as never)

describe('options of a factory', () => {
  test.each([
    [{ migratons: {} }, 'migratons'],
    [{ databasePrefx: 'a_' }, 'databasePrefx'],
    [{ cache: { maxx: 1 } }, 'cache.maxx'],
    [{ databasePrefix: undefined }, 'databasePrefix'],
    [{ databasePrefix: 7 }, 'databasePrefix'],
  ])('rejects %j and names the option', (options, named) => {
    expect(create(options)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(create(options)).toThrow(named)
  })

  test("are checked by defineFactory, which accepts the provider's own named options", () => {
    const define = (options: object, own?: Record<string, true>) => () =>
      defineFactory(createMemoryProvider(), options as never, own)
    expect(define({ databasePrefix: undefined })).toThrow('databasePrefix: must be a string')
    expect(define({ token: 'x' })).toThrow('token: is not an option')
    expect(define({ token: 'x' }, { token: true })).not.toThrow()
  })

  test('name a misspelt option before the provider reports the missing one', () => {
    const provider = () => {
      throw new Error('token: is missing')
    }
    expect(() => defineFactory(provider, { tokn: 'x' } as never, { token: true })).toThrow(
      'tokn: is not an option',
    )
  })

  test('are all accepted', () => {
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
