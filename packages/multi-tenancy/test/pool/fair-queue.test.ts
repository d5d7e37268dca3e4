import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createFairQueue } from '../../src/provider-kit/pool/fair-queue.ts'

describe('the fair queue', () => {
  test('serves keys in turns, and each key in order', () => {
    const queue = createFairQueue<string>(() => 0)
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) queue.add(item.charAt(0), item)
    const served: string[] = []
    queue.offer(
      (item) => served.push(item) > 0,
      () => true,
    )
    expect(served).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3'])
    expect(queue.size()).toBe(0)
  })

  test('continues with the next key where the last round ended', () => {
    const queue = createFairQueue<string>(() => 0)
    for (const item of ['a1', 'a2', 'b1', 'b2']) queue.add(item.charAt(0), item)
    const served: string[] = []
    for (let round = 1; round <= 4; round++) {
      queue.offer(
        (item) => served.push(item) > 0,
        () => served.length < round,
      )
    }
    expect(served).toEqual(['a1', 'b1', 'a2', 'b2'])
  })

  test('passes a key by that cannot be served, which keeps its place', () => {
    const queue = createFairQueue<string>(() => 0)
    for (const item of ['a1', 'b1', 'b2', 'c1']) queue.add(item.charAt(0), item)
    const served: string[] = []
    let full = true
    const take = (item: string, key: string): boolean => !(full && key === 'a') && served.push(item) > 0
    queue.offer(take, () => served.length < 2)
    full = false
    queue.offer(take, () => true)
    expect(served).toEqual(['b1', 'c1', 'a1', 'b2'])
  })

  test('an item deleted while it waits, or by being taken, is gone', () => {
    const queue = createFairQueue<string>(() => 0)
    for (const item of ['a1', 'a2', 'b1']) queue.add(item.charAt(0), item)
    queue.delete('a', 'a1')
    const served: string[] = []
    queue.offer(
      (item, key) => {
        queue.delete(key, item)
        return served.push(item) > 0
      },
      () => true,
    )
    expect(served).toEqual(['a2', 'b1'])
    expect(queue.has('a', 'a2')).toBe(false)
  })

  test('between two turns of a key no other waiting key has more than one', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b', 'c', 'd')), (keys) => {
        const queue = createFairQueue<string>(() => 0)
        keys.forEach((key, index) => void queue.add(key, `${key}${index}`))
        const served: string[] = []
        queue.offer(
          (_item, key) => served.push(key) > 0,
          () => true,
        )
        expect(served).toHaveLength(keys.length)
        for (const key of new Set(keys)) {
          const turns = served.slice(0, served.lastIndexOf(key)).join('').split(key)
          for (const others of turns) expect(new Set(others).size).toBe(others.length)
        }
      }),
    )
  })
})
