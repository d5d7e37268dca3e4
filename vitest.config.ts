import { accessSync, constants, statfsSync } from 'node:fs'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const GIGABYTE = 2 ** 30

/** Nothing that a test writes outlives it, so no disk need be waited for: SQLite asks for one at every commit. */
function useMemoryForTemporaryFiles(): void {
  if (process.env.TMPDIR !== undefined) return
  try {
    accessSync('/dev/shm', constants.W_OK)
    const { bavail, bsize } = statfsSync('/dev/shm')
    if (bavail * bsize <= 6 * GIGABYTE) return
    process.env.TMPDIR = '/dev/shm'
    // Some tools would have Node keep what it compiled there.
    process.env.NODE_DISABLE_COMPILE_CACHE = '1'
  } catch {
    // Not every system has it.
  }
}
useMemoryForTemporaryFiles()

/** Files of few lines and many minutes; a fresh clone has no durations of an earlier run to go by. */
const LONG = [/\/crash[^/]*\.test\.ts$/, /\/[^/]*conformance[^/]*\.test\.ts$/]

function rank({ moduleId }: TestSpecification): number {
  const found = LONG.findIndex((pattern) => pattern.test(moduleId))
  return found < 0 ? LONG.length : found
}

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    projects: ['packages/*', 'examples/*', 'e2e'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongFirst },
  },
})
