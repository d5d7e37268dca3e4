import { mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/**
 * Creates an empty temporary folder and returns its path. It needs no clean-up: `vitest.config.ts` gives each run a
 * temporary folder of its own and removes the whole of it at the end of the run.
 *
 * @param name names the folder's purpose
 */
export function createTempFolder(name: string): string {
  return mkdtempSync(path.join(realpathSync(tmpdir()), `tenantry-${name}-`))
}
