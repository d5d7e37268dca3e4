import { expect, it } from 'vitest'
import { captureError, getOutcome } from '../src/index.ts'

const conflict = Object.assign(new Error('taken'), { name: 'TenancyError', code: 'conflict' })

it.each([
  ['rejects', () => Promise.reject(conflict)],
  [
    'throws',
    () => {
      throw conflict
    },
  ],
])('captures the coded error of a function that %s', async (_, work) => {
  expect(await captureError(work)).toBe(conflict)
  expect(await getOutcome(work)).toBe('conflict')
})

it('captures the coded error of a promise', async () => {
  expect(await captureError(Promise.reject(conflict))).toBe(conflict)
})

it('rejects a call that succeeds where an error is expected', async () => {
  await expect(captureError(async () => [1, 2])).rejects.toThrow('succeeded with an array of 2')
  expect(await getOutcome(async () => {})).toBe('succeeded')
})

it('keeps an error without a code as the cause', async () => {
  const cause = new TypeError('not coded')
  await expect(captureError(Promise.reject(cause))).rejects.toMatchObject({ cause })
  expect(await getOutcome(Promise.reject(cause))).toBe('uncoded: TypeError: not coded')
})
