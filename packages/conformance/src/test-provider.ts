import { afterAll, describe, it } from 'vitest'
import { type ConformanceCase, runCase } from './case.ts'
import { conformanceCases } from './cases.ts'
import type { CreateHarness } from './harness.ts'

export interface TestProviderOptions {
  /**
   * Milliseconds one case may take.
   *
   * @default 60_000
   */
  readonly timeout?: number
}

/**
 * Registers every conformance case with vitest; each gets a harness of its own. Call it at the top of a test file.
 * A case is skipped only for what the provider's capabilities or the harness declare; the reasons are printed.
 *
 * @example
 * testProvider('memory', () => ({ provider, another, oracle, cleanup }))
 */
export function testProvider<Client>(
  name: string,
  createHarness: CreateHarness<Client>,
  { timeout = 60_000 }: TestProviderOptions = {},
): void {
  const bySuite = new Map<string, ConformanceCase[]>()
  for (const each of conformanceCases) bySuite.set(each.suite, [...(bySuite.get(each.suite) ?? []), each])

  describe(`${name} conforms`, () => {
    const reasons: string[] = []
    const notes: string[] = []
    for (const [suite, cases] of bySuite) {
      describe(suite, () => {
        for (const each of cases) {
          it(each.name, { timeout }, async ({ skip }) => {
            const result = await runCase(each, createHarness)
            notes.push(...result.notes)
            if (result.skipped === undefined) return
            reasons.push(result.skipped)
            skip(result.skipped)
          })
        }
      })
    }
    afterAll(() => {
      const why = reasons.length === 0 ? 'nothing' : [...new Set(reasons)].join('; ')
      console.log(
        [...notes, `${reasons.length} skipped: ${why}`].map((line) => `${name}: ${line}`).join('\n'),
      )
    })
  })
}
