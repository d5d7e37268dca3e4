import { type CallOptions, type ListedDatabase, TenancyError } from '@tenantry/multi-tenancy/provider'
import { lockName, randomId } from '../connections/credentials.ts'
import type { Run, Server } from '../connections/pool.ts'
import { isNumber } from '../errors.ts'
import { type DatabasePlace, idOfUser, isName, locatorOf } from '../locator.ts'
import type { Settings } from '../options.ts'
import { quoteName } from '../sql-text.ts'
import { asAdmin } from './privileges.ts'
import { type Access, createRegistry, type Registry } from './registry.ts'
import { createUsers, kill } from './users.ts'

/** The databases of one server, as the administrator manages them. */
export interface Databases {
  readonly registry: Registry
  create(name: string, call: CallOptions): Promise<{ place: DatabasePlace; created: boolean }>
  /** @throws `name_taken` for a database of that name that is not of our make */
  find(name: string, call: CallOptions): Promise<{ place: DatabasePlace; access: Access } | undefined>
  /** Takes away user and database, in bounded time also where others hold locks. */
  drop(place: DatabasePlace, call: CallOptions): Promise<void>
  setAccess(place: DatabasePlace, access: 'open' | 'closed', call: CallOptions): Promise<void>
  /** Some of those whose name starts with `prefix` and comes after `after`; `last` where there may be more. */
  list(
    query: { prefix: string; after: string },
    call: CallOptions,
  ): Promise<{ databases: ListedDatabase[]; last: string | undefined }>
}

const PAGE = 500
/**
 * Seconds after which the server ends the connection of a process that holds a lock and says nothing: one that stands
 * still, or whose machine is gone, would hold it for as long as `wait_timeout` is elsewhere, 8 hours. Less than others
 * wait for the lock, by default.
 */
const LOCK_IDLE = 5

export function createDatabases(server: Server, settings: Settings): Databases {
  const { isolation, secret, registry: registryName, userHost, drainTimeout } = settings
  const lockWait = Math.ceil(drainTimeout / 1_000)
  const { admin } = server
  const registry = createRegistry(registryName, admin)
  const users = createUsers(admin, settings)
  const taken = (): TenancyError =>
    new TenancyError('name_taken', 'A database of this name is there that Tenantry did not make')
  const place = (database: string, id: string): DatabasePlace => ({ server: server.name, database, id })

  /** Makes, shuts and deletes of one name come one after the other, whoever asks. */
  async function locked<Result>(
    name: string,
    call: CallOptions,
    work: (run: Run) => Promise<Result>,
  ): Promise<Result> {
    const key = await lockName(isolation === 'user' ? secret : undefined, `${registryName}/${name}`)
    return server.administer(call, async (run) => {
      await run(`SET SESSION wait_timeout = ${LOCK_IDLE}`)
      try {
        const [row] = await asAdmin(
          'GET_LOCK()',
          admin,
          run('SELECT GET_LOCK(?, ?) AS answer', [key, lockWait]),
        )
        // 0 is a timeout, NULL an error: either way the lock is not ours.
        if (Number(row?.answer) !== 1) {
          throw new TenancyError('provider_unavailable', 'Another process works on the same database', {
            retryAfter: 2,
          })
        }
        try {
          return await work(run)
        } finally {
          await run('SELECT RELEASE_LOCK(?)', [key]).catch(() => {})
        }
      } finally {
        await run('SET SESSION wait_timeout = DEFAULT').catch(() => {})
      }
    })
  }

  async function create(name: string, call: CallOptions): ReturnType<Databases['create']> {
    if (!isName(name)) throw new TenancyError('internal', 'The name is not one of a database')
    return locked(name, call, async (run) => {
      await registry.prepare(run)
      let { entry, exists } = await registry.read(run, name)
      if (exists && entry === undefined) throw taken()
      if (entry?.access === 'dropping') {
        await finishDrop(run, name, entry.id)
        entry = undefined
        exists = false
      }
      if (entry !== undefined && exists) {
        if (isolation === 'user' && entry.access === 'open') await users.make(run, name, entry.id)
        return { place: place(name, entry.id), created: false }
      }
      // What a crash left, or somebody dropped: its credential is not used again.
      if (entry !== undefined && isolation === 'user') await users.drop(run, entry.id)
      const id = randomId()
      await registry.write(run, name, { id, access: 'open' })
      if (isolation === 'user') await users.make(run, name, id)
      const statement = `CREATE DATABASE ${quoteName(name)} CHARACTER SET utf8mb4`
      await asAdmin('CREATE DATABASE', admin, run(statement)).catch((error: unknown) => {
        throw isNumber(error, 1007) ? taken() : error
      })
      return { place: place(name, id), created: true }
    })
  }

  async function find(name: string, call: CallOptions): ReturnType<Databases['find']> {
    if (!isName(name)) return undefined
    const { entry, exists } = await server.administer(call, (run) => registry.read(run, name))
    if (entry?.access === 'dropping') {
      // Its user may be gone already, so nobody but the administrator can end what was begun.
      await drop(place(name, entry.id), call)
      return undefined
    }
    if (!exists) return undefined
    if (entry === undefined) throw taken()
    return { place: place(name, entry.id), access: entry.access }
  }

  async function drop({ database, id }: DatabasePlace, call: CallOptions): Promise<void> {
    await locked(database, call, async (run) => {
      const { entry } = await registry.read(run, database)
      if (entry?.id === id) {
        await registry.write(run, database, { id, access: 'dropping' })
        await finishDrop(run, database, id)
      }
      // Of an older incarnation at most its user is left.
      else if (isolation === 'user') await users.drop(run, id)
    })
  }

  async function finishDrop(run: Run, database: string, id: string): Promise<void> {
    if (isolation === 'user') await users.drop(run, id)
    else await kill(run, admin, 'db', database)
    // Whoever else reads in there (a backup) would hold this up for a day, and what XA prepared for ever.
    await run('SET SESSION lock_wait_timeout = 5, innodb_lock_wait_timeout = 5')
    await asAdmin('DROP DATABASE', admin, run(`DROP DATABASE IF EXISTS ${quoteName(database)}`))
    await registry.remove(run, database)
  }

  async function setAccess(
    { database, id }: DatabasePlace,
    access: 'open' | 'closed',
    call: CallOptions,
  ): Promise<void> {
    await locked(database, call, async (run) => {
      const { entry } = await registry.read(run, database)
      if (entry?.id !== id || entry.access === 'dropping') return
      await registry.write(run, database, { id, access })
      if (isolation === 'user') await users.setAccess(run, id, access)
      else if (access === 'closed') await kill(run, admin, 'db', database)
    })
  }

  async function list(
    { prefix, after }: { prefix: string; after: string },
    call: CallOptions,
  ): ReturnType<Databases['list']> {
    return server.administer(call, async (run) => {
      const pattern = `${prefix.replace(/[\\_%]/g, '\\$&')}%`
      const rows = await run(
        `SELECT name, id FROM ${registry.table} WHERE name LIKE ? AND name > ? ORDER BY name LIMIT ${PAGE}`,
        [pattern, after],
      ).catch((error: unknown) => {
        if (isNumber(error, 1049, 1146)) return []
        throw error
      })
      const there = new Set(
        (await run('SHOW DATABASES LIKE ?', [pattern])).map((row) => String(Object.values(row)[0])),
      )
      const databases = rows.map((row): ListedDatabase => {
        const [name, id] = [String(row.name), String(row.id)]
        const locator = locatorOf(place(name, id))
        return there.has(name)
          ? { name, locator }
          : { name, locator, leftover: isolation === 'user' ? 'user' : 'entry' }
      })
      if (after === '' && isolation === 'user') databases.push(...(await strayUsers(run, prefix)))
      return { databases, last: rows.length === PAGE ? String(rows.at(-1)?.name) : undefined }
    })
  }

  /** Users of ours that may use a database of that prefix, and of which nothing is written down. */
  async function strayUsers(run: Run, prefix: string): Promise<ListedDatabase[]> {
    const rows = await asAdmin(
      'SHOW GRANTS',
      admin,
      run("SELECT User, Db FROM mysql.db WHERE Host = ? AND User LIKE 'tenantry\\\\_%'", [userHost]),
    )
    const found = rows.flatMap(({ User, Db }) => {
      const [name, id] = [String(Db).replace(/\\(.)/g, '$1'), idOfUser(User)]
      return name.startsWith(prefix) && isName(name) && id !== undefined ? [{ name, id }] : []
    })
    if (found.length === 0) return []
    const known = await run(`SELECT id FROM ${registry.table}`).catch(() => [])
    const ids = new Set(known.map(({ id }) => String(id)))
    const stray = found.filter(({ id }) => !ids.has(id))
    return stray.map(({ name, id }) => ({ name, locator: locatorOf(place(name, id)), leftover: 'user' }))
  }

  return { registry, create, find, drop, setAccess, list }
}
