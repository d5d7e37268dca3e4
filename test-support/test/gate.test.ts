import { expect, it } from 'vitest'
import { createGate, getPromiseState } from '../src/index.ts'

it('holds a step at a gate until the gate is opened', async () => {
  const gate = createGate()
  const order: string[] = []
  const step = (async () => {
    order.push('before the gate')
    await gate.pass()
    order.push('behind the gate')
  })()
  await gate.reached
  expect(await getPromiseState(step)).toBe('pending')
  order.push('opened')
  gate.open()
  await step
  expect(order).toEqual(['before the gate', 'opened', 'behind the gate'])
  expect(await getPromiseState(gate.pass())).toBe('resolved')
})

it('reports the state of a promise that rejects', async () => {
  expect(await getPromiseState(Promise.reject(new Error('expected')))).toBe('rejected')
})
