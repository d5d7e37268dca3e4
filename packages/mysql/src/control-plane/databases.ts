import {
  type CallOptions,
  type ListedDatabase,
  randomId,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { Run, Server } from '../connections/server.ts'
import { isNumber } from '../errors.ts'
import { type DatabasePlace, isName } from '../locator.ts'
import type { Settings } from '../options.ts'
import { quoteName } from '../sql-text.ts'
import { createDatabaseList } from './database-list.ts'
import { createDatabaseLock } from './database-lock.ts'
import { asAdmin } from './privileges.ts'
import { type Access, createRegistry, type Registry } from './registry.ts'
import { createUsers, kill } from './users.ts'

/** The databases of one server, as the administrator manages them. */
export interface Databases {
  readonly registry: Registry
  create(name: string, call: CallOptions): Promise<{ place: DatabasePlace; created: boolean }>
  /** @throws `name_taken` for a database of that name that Tenantry did not create */
  find(name: string, call: CallOptions): Promise<{ place: DatabasePlace; access: Access } | undefined>
  /** Drops user and database, in bounded time also where others hold locks. */
  drop(place: DatabasePlace, call: CallOptions): Promise<void>
  setAccess(place: DatabasePlace, access: 'open' | 'closed', call: CallOptions): Promise<void>
  /** One page of the databases whose name starts with `prefix` and sorts after `after`; `last` where more may follow. */
  list(
    query: { prefix: string; after: string },
    call: CallOptions,
  ): Promise<{ databases: ListedDatabase[]; last: string | undefined }>
}

export function createDatabases(server: Server, settings: Settings): Databases {
  const { isolation, registry: registryName, userHost } = settings
  const { admin } = server
  const registry = createRegistry(registryName, admin)
  const users = createUsers(admin, settings)
  const withLock = createDatabaseLock(server, settings)
  const toPlace = (database: string, id: string): DatabasePlace => ({ server: server.name, database, id })

  async function create(name: string, call: CallOptions): ReturnType<Databases['create']> {
    if (!isName(name))
      throw new TenancyError('internal', `${JSON.stringify(name)} is not a valid database name`)
    return withLock(name, call, async (run) => {
      await registry.prepare(run)
      let { entry, exists } = await registry.read(run, name)
      if (exists && entry === undefined) throw nameTaken(name)
      if (entry?.access === 'dropping') {
        await finishDrop(run, name, entry.id)
        entry = undefined
        exists = false
      }
      if (entry !== undefined && exists) {
        if (isolation === 'user' && entry.access === 'open') await users.create(run, name, entry.id)
        return { place: toPlace(name, entry.id), created: false }
      }
      // A crash left the row, or the database was dropped by hand: its credential is not used again.
      if (entry !== undefined && isolation === 'user') await users.drop(run, entry.id)
      const id = randomId(23)
      await registry.write(run, name, { id, access: 'open' })
      if (isolation === 'user') await users.create(run, name, id)
      const statement = `CREATE DATABASE ${quoteName(name)} CHARACTER SET utf8mb4`
      await asAdmin('CREATE DATABASE', admin, run(statement)).catch((error: unknown) => {
        throw isNumber(error, 1007) ? nameTaken(name) : error
      })
      return { place: toPlace(name, id), created: true }
    })
  }

  async function find(name: string, call: CallOptions): ReturnType<Databases['find']> {
    if (!isName(name)) return undefined
    const { entry, exists } = await server.administer(call, (run) => registry.read(run, name))
    if (entry?.access === 'dropping') {
      // The tenant's user may be gone already, so only the administrator can finish the deletion.
      await drop(toPlace(name, entry.id), call)
      return undefined
    }
    if (!exists) return undefined
    if (entry === undefined) throw nameTaken(name)
    return { place: toPlace(name, entry.id), access: entry.access }
  }

  async function drop({ database, id }: DatabasePlace, call: CallOptions): Promise<void> {
    await withLock(database, call, async (run) => {
      const { entry } = await registry.read(run, database)
      if (entry?.id === id) {
        await registry.write(run, database, { id, access: 'dropping' })
        await finishDrop(run, database, id)
      }
      // Of an older database of this name, at most the user is left.
      else if (isolation === 'user') await users.drop(run, id)
    })
  }

  async function finishDrop(run: Run, database: string, id: string): Promise<void> {
    if (isolation === 'user') await users.drop(run, id)
    else await kill(run, admin, 'db', database)
    // Another reader (a backup) would delay this for up to a day, and a prepared XA transaction without limit.
    await run('SET SESSION lock_wait_timeout = 5, innodb_lock_wait_timeout = 5')
    await asAdmin('DROP DATABASE', admin, run(`DROP DATABASE IF EXISTS ${quoteName(database)}`))
    await registry.remove(run, database)
  }

  async function setAccess(
    { database, id }: DatabasePlace,
    access: 'open' | 'closed',
    call: CallOptions,
  ): Promise<void> {
    await withLock(database, call, async (run) => {
      const { entry } = await registry.read(run, database)
      if (entry?.id !== id || entry.access === 'dropping') return
      await registry.write(run, database, { id, access })
      if (isolation === 'user') await users.setAccess(run, id, access)
      else if (access === 'closed') await kill(run, admin, 'db', database)
    })
  }

  return {
    registry,
    create,
    find,
    drop,
    setAccess,
    list: createDatabaseList({ server, registry, isolation, userHost }),
  }
}

function nameTaken(name: string): TenancyError {
  return new TenancyError('name_taken', `The database ${name} exists, and Tenantry did not create it`)
}
