import type { ConformanceContext } from './context.ts'
import { CaseSkip, createContext } from './context.ts'
import type { CreateHarness, Harness } from './harness.ts'

export type SuiteName =
  | 'contract'
  | 'names'
  | 'lifecycle'
  | 'isolation'
  | 'races'
  | 'faults'
  | 'migrations'
  | 'eviction'
  | 'ended adapters'

/** One requirement of a provider. Its `name` completes the sentence "The provider …"; `run` throws unless it is met. */
export interface ConformanceCase {
  readonly suite: SuiteName
  readonly name: string
  /** Returns why the declared capabilities or the harness exclude the case, or `undefined` to run the case. */
  skip?(harness: Harness): string | undefined
  run(context: ConformanceContext): Promise<void>
}

/** Adds the name of their suite to cases. */
export function defineCases(
  suite: SuiteName,
  cases: readonly Omit<ConformanceCase, 'suite'>[],
): ConformanceCase[] {
  return cases.map((definition) => ({ ...definition, suite }))
}

/** The result of a case that did not fail. */
export interface CaseResult {
  /** Why the case was skipped. */
  readonly skipped?: string
  /** Lines of the case for the report, such as the number of fault points. */
  readonly notes: readonly string[]
}

/**
 * Runs one case on a harness of its own, then drops every database of the case and cleans up.
 *
 * @throws the error of the case, or else the first error of the clean-up
 */
export async function runCase(
  conformanceCase: ConformanceCase,
  createHarness: CreateHarness,
): Promise<CaseResult> {
  const harness = await createHarness()
  const skipped = conformanceCase.skip?.(harness)
  if (skipped !== undefined) {
    await harness.provider.close()
    await harness.cleanup()
    return { skipped, notes: [] }
  }
  const notes: string[] = []
  const { context, end } = createContext(harness, createHarness, (line) => notes.push(line))
  let reason: string | undefined
  try {
    await conformanceCase.run(context)
  } catch (error) {
    if (!(error instanceof CaseSkip)) {
      await end().catch(() => {})
      throw error
    }
    reason = error.reason
  }
  await end()
  return { notes, ...(reason !== undefined && { skipped: reason }) }
}
