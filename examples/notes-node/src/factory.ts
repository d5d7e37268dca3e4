import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createTursoFactory } from '@tenantry/turso'
import { createLibsqlFactory } from '@tenantry/turso/file'
import { migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'

interface Databases {
  readonly factory: TenantFactory<NotesAdapters>
  /** Where the databases are, in words. */
  readonly place: string
  /** Called once the factory is closed. */
  cleanUp(): void
}

/**
 * The only lines that know a provider. With `TURSO_ORGANIZATION` and `TURSO_API_TOKEN` tenants live on Turso, else in
 * libSQL files: under `NOTES_DATA` where that is set, else in a fresh folder that goes when the demo ends.
 */
export function openDatabases(env: NodeJS.ProcessEnv): Databases {
  const { TURSO_ORGANIZATION: organizationName, TURSO_API_TOKEN: apiToken, NOTES_DATA: kept } = env
  const app = { migrations, seed: seedDemo }
  if (organizationName && apiToken) {
    const factory = createTursoFactory<NotesAdapters>({ organizationName, apiToken, ...app })
    return { factory, place: `Turso, organization ${organizationName}`, cleanUp() {} }
  }
  if (kept) {
    const root = path.resolve(kept)
    return { factory: createLibsqlFactory<NotesAdapters>({ root, ...app }), place: root, cleanUp() {} }
  }
  const root = mkdtempSync(path.join(tmpdir(), 'tenantry-notes-'))
  return {
    factory: createLibsqlFactory<NotesAdapters>({ root, ...app }),
    place: `${root} (removed at the end)`,
    cleanUp: () => rmSync(root, { recursive: true, force: true }),
  }
}
