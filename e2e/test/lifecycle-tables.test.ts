import { describe, expect, test } from 'vitest'
import { isStale, planTable, transitionTable } from '../../scripts/lifecycle-tables.ts'

describe('the tables of a tenant life in docs/catalog.md', () => {
  test('are up to date (else run scripts/lifecycle-tables.ts)', () => {
    expect(isStale()).toBe(false)
  })

  test('have a row for each operation and for each situation', () => {
    expect(planTable().split('\n')).toHaveLength(9)
    expect(transitionTable()).toContain('| tenant is')
    expect(transitionTable().split('\n')).toHaveLength(16)
  })
})
