import { describe, expect, it } from 'vitest'
import { createFaultInjector, type FaultMode, getOutcome, recordCalls } from '../src/index.ts'

const createService = () => {
  const rows: string[] = []
  return {
    rows,
    insert: async (row: string) => void rows.push(row),
    read: async () => [...rows],
  }
}

it('records the calls of the named methods, with their arguments', async () => {
  const service = createService()
  const { target, calls, count, clear } = recordCalls(service, ['insert'])
  await target.insert('a')
  await target.read()
  expect(calls).toEqual([{ name: 'insert', args: ['a'] }])
  expect(count('insert')).toBe(1)
  clear()
  expect(count('insert')).toBe(0)
})

describe('a fault injector', () => {
  it.each<[FaultMode, string[], number]>([
    ['before', ['a', 'c'], 1],
    ['after', ['a', 'b', 'c'], 1],
    ['outage', ['a'], 2],
  ])('fails the chosen call in mode %s', async (mode, rows, failures) => {
    const service = createService()
    const injector = createFaultInjector()
    injector.arm(1, mode)
    const outcomes = []
    for (const row of ['a', 'b', 'c'])
      outcomes.push(await getOutcome(() => injector.around(() => service.insert(row))))
    expect(service.rows).toEqual(rows)
    expect(outcomes.filter((outcome) => outcome !== 'succeeded')).toHaveLength(failures)
    expect(injector.count()).toBe(3)
  })

  it('fails nothing once it is disarmed', async () => {
    const injector = createFaultInjector()
    injector.arm(0, 'outage')
    injector.disarm()
    expect(await injector.around(async () => 'reply')).toBe('reply')
  })
})
