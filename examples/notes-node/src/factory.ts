import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createClient } from '@libsql/client'
import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createCatalog } from '@tenantry/multi-tenancy/catalog'
import { createTursoFactory } from '@tenantry/turso'
import { createLibsqlFactory, libsqlKysely } from '@tenantry/turso/file'
import { migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { Kysely } from 'kysely'

interface Databases {
  readonly factory: TenantFactory<NotesAdapters>
  /** Where the databases are, in words. */
  readonly place: string
  /** Called once the factory is closed. */
  cleanUp(): Promise<void>
}

/**
 * The only lines that know a provider. With `TURSO_ORGANIZATION` and `TURSO_API_TOKEN` tenants live on Turso, else in
 * libSQL files: under `NOTES_DATA` where that is set, else in a fresh folder that goes when the demo ends. The catalog
 * of tenants is a libSQL file beside them; there is none for Turso without `NOTES_DATA`, where it could not be kept.
 */
export function openDatabases(env: NodeJS.ProcessEnv): Databases {
  const { TURSO_ORGANIZATION: organizationName, TURSO_API_TOKEN: apiToken, NOTES_DATA: kept } = env
  const app = { migrations, seed: seedDemo }
  if (organizationName && apiToken) {
    const catalog = kept ? openCatalog(path.resolve(kept)) : undefined
    const factory = createTursoFactory<NotesAdapters>({
      organizationName,
      apiToken,
      ...app,
      ...catalog?.option,
    })
    const place = `Turso, organization ${organizationName}`
    return { factory, place, cleanUp: async () => catalog?.close() }
  }
  const root = kept ? path.resolve(kept) : mkdtempSync(path.join(tmpdir(), 'tenantry-notes-'))
  const { option, close } = openCatalog(root)
  return {
    factory: createLibsqlFactory<NotesAdapters>({ root, ...app, ...option }),
    place: kept ? root : `${root} (removed at the end)`,
    async cleanUp() {
      await close()
      if (!kept) rmSync(root, { recursive: true, force: true })
    },
  }
}

/** The record of all tenants, in a database of its own: no tenant's file is called so. */
function openCatalog(folder: string) {
  mkdirSync(folder, { recursive: true })
  const db = new Kysely<any>({
    dialect: libsqlKysely(createClient({ url: `file:${path.join(folder, 'catalog.db')}` })),
  })
  return { option: { catalog: createCatalog({ db, dialect: 'sqlite' }) }, close: () => db.destroy() }
}
