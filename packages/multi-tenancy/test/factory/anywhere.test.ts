import { expect, test } from 'vitest'
import { firstMatch } from '../../src/provider-kit/multi-server.ts'

const down = (): Promise<string | undefined> => Promise.reject(new Error('down'))
const never = new Promise<string | undefined>(() => {})
const nothing = (): Promise<string | undefined> => Promise.resolve(undefined)
const findLocator = (): Promise<string | undefined> => Promise.resolve('here')

test('finds a database on one server while another is down, silent or empty', async () => {
  expect(await firstMatch([down(), never, nothing(), findLocator()])).toBe('here')
})

test('reports a missing database only when every server has replied', async () => {
  expect(await firstMatch([nothing(), nothing()])).toBeUndefined()
  expect(await firstMatch([])).toBeUndefined()
  await expect(firstMatch([nothing(), down()])).rejects.toThrow('down')
})
