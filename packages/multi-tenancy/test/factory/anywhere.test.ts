import { expect, test } from 'vitest'
import { findAnywhere } from '../../src/factory/anywhere.ts'

const down = (): Promise<string | undefined> => Promise.reject(new Error('down'))
const never = new Promise<string | undefined>(() => {})
const nothing = (): Promise<string | undefined> => Promise.resolve(undefined)
const found = (): Promise<string | undefined> => Promise.resolve('here')

test('what one server has is found, whether another is down, silent or has nothing', async () => {
  expect(await findAnywhere([down(), never, nothing(), found()])).toBe('here')
})

test('what no server has is missing; where one could not say, that is not known', async () => {
  expect(await findAnywhere([nothing(), nothing()])).toBeUndefined()
  expect(await findAnywhere([])).toBeUndefined()
  await expect(findAnywhere([nothing(), down()])).rejects.toThrow('down')
})
