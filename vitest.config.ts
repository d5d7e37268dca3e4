import { accessSync, chmodSync, constants, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const GIGABYTE = 2 ** 30

/** In memory where there is enough: no test's file outlives the run, and SQLite waits for a disk at every commit. */
function chooseTemporaryFolder(): string {
  const { TMPDIR } = process.env
  if (TMPDIR !== undefined) return TMPDIR
  try {
    accessSync('/dev/shm', constants.W_OK)
    const { bavail, bsize } = statfsSync('/dev/shm')
    if (bavail * bsize > 6 * GIGABYTE) return '/dev/shm'
  } catch {
    // Not every system has /dev/shm.
  }
  return tmpdir()
}

/** Gives the run a temporary folder of its own, which its child processes inherit, and removes it at the end. */
function useTemporaryFolderOfRun(): void {
  const folder = mkdtempSync(path.join(chooseTemporaryFolder(), 'tenantry-run-'))
  // PostgreSQL and PgBouncer run as users of their own below it.
  chmodSync(folder, 0o755)
  process.env.TMPDIR = folder
  // Some tools would have Node keep compiled code there.
  process.env.NODE_DISABLE_COMPILE_CACHE = '1'
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
}
useTemporaryFolderOfRun()

/** Files of few lines and many minutes; a fresh clone has no durations of an earlier run to go by. */
const LONG = [/\/crash[^/]*\.test\.ts$/, /\/[^/]*conformance[^/]*\.test\.ts$/]

function rank({ moduleId }: TestSpecification): number {
  const position = LONG.findIndex((pattern) => pattern.test(moduleId))
  return position < 0 ? LONG.length : position
}

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    projects: ['packages/*', 'examples/*', 'e2e', 'test-support'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongFirst },
  },
})
