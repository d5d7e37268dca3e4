import { mkdirSync } from 'node:fs'
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
  /** Where the databases are, for people. */
  readonly location: string
  close(): Promise<void>
}

/**
 * The only module that names a provider. With `TURSO_ORGANIZATION` and `TURSO_API_TOKEN` the tenants live on Turso,
 * otherwise in libSQL files: under `NOTES_DATA`, or in a temporary folder.
 *
 * The catalog of tenants is one more libSQL file. On Turso it needs `NOTES_DATA`: in a temporary folder it would be
 * deleted while the databases stay.
 */
export function openDatabases(
  env: NodeJS.ProcessEnv,
  createTemporaryFolder: (prefix: string) => string,
): Databases {
  const { TURSO_ORGANIZATION: organizationName, TURSO_API_TOKEN: apiToken, NOTES_DATA } = env
  const options = { migrations, seed: seedDemo }
  if (organizationName && apiToken) {
    const catalog = NOTES_DATA ? openCatalog(path.resolve(NOTES_DATA)) : undefined
    const factory = createTursoFactory<NotesAdapters>({
      organizationName,
      apiToken,
      ...options,
      ...(catalog && { catalog: catalog.catalog }),
    })
    return {
      factory,
      location: `the Turso organization ${organizationName}`,
      close: closeAll(factory, catalog),
    }
  }
  const root = NOTES_DATA ? path.resolve(NOTES_DATA) : createTemporaryFolder('tenantry-notes-')
  const catalog = openCatalog(root)
  const factory = createLibsqlFactory<NotesAdapters>({ root, ...options, catalog: catalog.catalog })
  const location = NOTES_DATA ? root : `${root}, which is deleted when the demo stops`
  return { factory, location, close: closeAll(factory, catalog) }
}

/** The catalog keeps the records of all tenants in a database of its own. No tenant's file has its name. */
function openCatalog(folder: string) {
  mkdirSync(folder, { recursive: true })
  const url = `file:${path.join(folder, 'catalog.db')}`
  const db = new Kysely<any>({ dialect: libsqlKysely(createClient({ url })) })
  return { catalog: createCatalog({ db, dialect: 'sqlite' }), close: () => db.destroy() }
}

function closeAll(factory: Pick<TenantFactory<unknown>, 'close'>, catalog?: { close(): Promise<void> }) {
  return async (): Promise<void> => {
    await factory.close()
    await catalog?.close()
  }
}
