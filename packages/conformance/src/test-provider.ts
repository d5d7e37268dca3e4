import { afterAll, beforeAll, describe, it } from 'vitest'
import { type CaseResult, type ConformanceCase, runCase } from './case.ts'
import { conformanceCases } from './cases.ts'
import type { CreateHarness } from './harness.ts'

export interface TestProviderOptions {
  /**
   * The milliseconds that one case may take.
   *
   * @default 60_000
   */
  readonly timeout?: number
}

/**
 * Registers every conformance case with vitest; each runs on a harness of its own. Call it at the top of a test file.
 * Prints a line for each suite as it ends. A case is skipped only for what the provider's capabilities or the harness
 * declare, and the reasons are printed.
 *
 * @example
 * testProvider('memory', () => ({ provider, createProvider, oracle, cleanup }))
 */
export function testProvider<Client>(
  name: string,
  createHarness: CreateHarness<Client>,
  { timeout = 60_000 }: TestProviderOptions = {},
): void {
  const bySuite = new Map<string, ConformanceCase[]>()
  for (const conformanceCase of conformanceCases) {
    const { suite } = conformanceCase
    bySuite.set(suite, [...(bySuite.get(suite) ?? []), conformanceCase])
  }

  describe(`${name} conforms`, () => {
    for (const [suite, cases] of bySuite) {
      describe(suite, () => {
        const results: CaseResult[] = []
        let startedAt = 0
        beforeAll(() => {
          startedAt = Date.now()
        })
        for (const conformanceCase of cases) {
          it(conformanceCase.name, { timeout }, async ({ skip }) => {
            const result = await runCase(conformanceCase, createHarness)
            results.push(result)
            if (result.skipped !== undefined) skip(result.skipped)
          })
        }
        afterAll(() => {
          const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1)
          const lines = [...reportSuite(results, cases.length), `${seconds} s`]
          console.log(lines.map((line) => `${name}: ${suite}: ${line}`).join('\n'))
        })
      })
    }
  })
}

/** The notes of the cases, and last how many cases passed and why the others were skipped. */
function reportSuite(results: readonly CaseResult[], total: number): string[] {
  const reasons = results.flatMap(({ skipped }) => (skipped === undefined ? [] : [skipped]))
  const passed = results.length - reasons.length
  const skips = reasons.length === 0 ? '' : `, ${reasons.length} skipped: ${[...new Set(reasons)].join('; ')}`
  return [...results.flatMap(({ notes }) => notes), `${passed} of ${total} cases passed${skips}`]
}
