import { expect, test } from 'vitest'
import { firstMatch } from '../../src/provider-kit/multi-server.ts'

const down = (): Promise<string | undefined> => Promise.reject(new Error('down'))
const never = new Promise<string | undefined>(() => {})
const nothing = (): Promise<string | undefined> => Promise.resolve(undefined)
const found = (): Promise<string | undefined> => Promise.resolve('here')

test('what one server has is found, whether another is down, silent or has nothing', async () => {
  expect(await firstMatch([down(), never, nothing(), found()])).toBe('here')
})

test('what no server has is missing; where one could not say, that is not known', async () => {
  expect(await firstMatch([nothing(), nothing()])).toBeUndefined()
  expect(await firstMatch([])).toBeUndefined()
  await expect(firstMatch([nothing(), down()])).rejects.toThrow('down')
})
