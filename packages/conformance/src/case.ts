import type { ConformanceContext } from './context.ts'
import { createContext } from './context.ts'
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

/** One fact about a provider, as data: `name` states it, `run` throws unless it holds. */
export interface ConformanceCase {
  readonly suite: SuiteName
  readonly name: string
  /** Why this harness cannot show it, from its declared capabilities; absent or `undefined` runs the case. */
  skip?(harness: Harness): string | undefined
  run(context: ConformanceContext): Promise<void>
}

/** Names the suite of each case. */
export function suite(name: SuiteName, cases: readonly Omit<ConformanceCase, 'suite'>[]): ConformanceCase[] {
  return cases.map((each) => ({ ...each, suite: name }))
}

/** How a case ended that did not fail. */
export interface CaseResult {
  readonly skipped?: string
  /** What the case has to report, such as how many fault points it tried. */
  readonly notes: readonly string[]
}

/**
 * Runs one case on a harness of its own, then drops every database the case made and cleans up.
 *
 * @throws what the case threw; else what cleaning up threw
 */
export async function runCase(each: ConformanceCase, createHarness: CreateHarness): Promise<CaseResult> {
  const harness = await createHarness()
  const skipped = each.skip?.(harness)
  if (skipped !== undefined) {
    await harness.provider.close()
    await harness.cleanup()
    return { skipped, notes: [] }
  }
  const notes: string[] = []
  const { context, end } = createContext(harness, createHarness, (line) => notes.push(line))
  try {
    await each.run(context)
  } catch (error) {
    await end().catch(() => {})
    throw error
  }
  await end()
  return { notes }
}
