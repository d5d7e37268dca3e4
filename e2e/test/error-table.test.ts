import { describe, expect, test } from 'vitest'
import { ERROR_TABLE_FILES, errorTable, staleErrorTables, withErrorTable } from '../../scripts/error-table.ts'

const codes = { lost: { status: 404, retryable: false }, busy: { status: 503, retryable: true } }
const sentences = { lost: 'it is not there', busy: 'others came first' }

describe('the table of error codes', () => {
  test.each(ERROR_TABLE_FILES)('is up to date in %s (else run scripts/error-table.ts)', (file) => {
    expect(staleErrorTables()).not.toContain(file)
  })

  test('has one line for each code', () => {
    expect(errorTable(codes, sentences).split('\n').slice(2)).toEqual([
      '| `lost` | 404    | it is not there   | no        |',
      '| `busy` | 503    | others came first | yes       |',
    ])
  })

  test('throws for a code without a sentence and for a sentence without a code', () => {
    expect(() => errorTable(codes, { lost: 'it is not there' })).toThrow(/nothing of busy/)
    expect(() => errorTable(codes, { ...sentences, gone: 'no code' })).toThrow(/no such code: gone/)
  })

  test('replaces only the text between its markers', () => {
    expect(withErrorTable('a\n<!-- errors -->\nold\n<!-- /errors -->\nb', 'new')).toBe(
      'a\n<!-- errors -->\n\nnew\n\n<!-- /errors -->\nb',
    )
    expect(() => withErrorTable('no markers', 'new')).toThrow(/markers/)
  })
})
