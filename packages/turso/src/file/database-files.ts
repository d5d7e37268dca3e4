import { randomBytes } from 'node:crypto'
import { lstatSync, mkdirSync, realpathSync, type Stats } from 'node:fs'
import { mkdtemp, open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { classifyConnectionError, TenancyError } from '@tenantry/multi-tenancy/provider'
import { deletedName, NEW, sweep, tidy } from './crash-cleanup.ts'
import { ignore } from './errors.ts'

/** A tenant's database on disk: `<root>/<name>/<id>.db`. */
export interface DatabaseFile {
  readonly name: string
  /** Random, made with the file: another incarnation of the name has another. */
  readonly id: string
}

/** The databases under one directory. */
export interface Files {
  /** Makes an empty database, or finds the one there is: exactly one process of several makes it. */
  create(name: string): Promise<{ file: DatabaseFile; created: boolean }>
  find(name: string): Promise<DatabaseFile | undefined>
  /** The files whose name starts with `prefix`, sorted by name. */
  list(prefix: string): Promise<DatabaseFile[]>
  /** Deletes exactly this file and what SQLite keeps beside it. Absent, or another incarnation: succeeds. */
  remove(file: DatabaseFile): Promise<void>
  /**
   * Closes the file to every process, or opens it again: a mark beside it, which lasts.
   *
   * @throws `tenant_not_found` when it is gone
   */
  setAccess(file: DatabaseFile, access: 'open' | 'closed'): Promise<void>
  /** @throws `tenant_suspended` when it is closed; looks at the disk, as others may have closed it */
  checkOpen(file: DatabaseFile): void
  /**
   * The file's path, checked to be a regular file inside the root, reached through no link.
   *
   * @throws `tenant_not_found` when it is gone
   */
  path(file: DatabaseFile): string
  /** What tells whether the path still leads to the same file. Throws as `path` does. */
  mark(file: DatabaseFile): string
}

/** The longest name there may be; every file system takes it with what SQLite appends. */
export const MAX_NAME_LENGTH = 128

const NAME = /^[a-z0-9][a-z0-9_-]{0,127}$/
const FILE = /^([0-9a-f]{16})\.db$/
const ID = /^[0-9a-f]{16}$/
const CLOSED = '-closed'
/** A name that is neither found nor free was deleted by others in between; so often only if something else has it. */
const ATTEMPTS = 30

/**
 * Opens a directory of databases, made when missing (mode 0700). Every database has a directory of its own, so
 * that one `rename` makes it, for one of several; and a file named by its id, so that one `rename` deletes it and no
 * other. A write-ahead log left behind would be played into the next database of that path: there is none, since no id
 * comes back.
 */
export function openFiles(directory: string): Files {
  let checkedRoot: string | undefined

  function root(): string {
    if (checkedRoot === undefined) {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      checkedRoot = realpathSync(directory)
      void sweep(checkedRoot).catch(() => {})
    }
    return checkedRoot
  }

  /** Names come from the core checked; these checks are the ones that keep a mistake out of the file system. */
  function folder(name: string): string {
    if (typeof name !== 'string' || !NAME.test(name)) throw foreign()
    return path.join(root(), name)
  }

  function place({ name, id }: DatabaseFile): string {
    if (typeof id !== 'string' || !ID.test(id)) throw foreign()
    return path.join(folder(name), `${id}.db`)
  }

  function inspect(file: DatabaseFile): Stats {
    const stats = lstatSync(place(file), { throwIfNoEntry: false })
    if (stats === undefined) throw gone()
    if (!stats.isFile()) throw notOurs(file.name)
    return stats
  }

  /** Beside the file, so that it goes with it; named after it, so that no other incarnation heeds it. */
  function closedMark(file: DatabaseFile): string {
    return `${place(file)}${CLOSED}`
  }

  /** Whether the name has its directory, and not a link to one or anything else. */
  function isDirectory(name: string): boolean {
    const stats = lstatSync(folder(name), { throwIfNoEntry: false })
    if (stats !== undefined && !stats.isDirectory()) throw notOurs(name)
    return stats !== undefined
  }

  async function find(name: string): Promise<DatabaseFile | undefined> {
    if (!isDirectory(name)) return undefined
    const entries = await readdir(folder(name)).catch(ignore('ENOENT'))
    const ids = (entries ?? []).flatMap((entry) => FILE.exec(entry)?.[1] ?? [])
    if (ids.length > 1) throw notOurs(name)
    return ids[0] === undefined ? undefined : { name, id: ids[0] }
  }

  /** An empty database; `undefined` when something has the name already. */
  async function make(name: string): Promise<DatabaseFile | undefined> {
    const draft = await mkdtemp(path.join(root(), NEW))
    const file = { name, id: randomBytes(8).toString('hex') }
    try {
      await (await open(path.join(draft, `${file.id}.db`), 'wx', 0o600)).close()
      await rename(draft, folder(name))
      return file
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      return ignore('ENOTEMPTY', 'EEXIST')(error)
    }
  }

  return {
    find,
    async create(name) {
      for (let left = ATTEMPTS; left > 0; left--) {
        const found = await find(name)
        if (found !== undefined) return { file: found, created: false }
        const made = await make(name)
        if (made !== undefined) return { file: made, created: true }
        // Deleted meanwhile, or only half: by a process that died.
        await tidy(folder(name))
      }
      throw notOurs(name)
    },
    async list(prefix) {
      const names = (await readdir(root())).filter((name) => name.startsWith(prefix) && NAME.test(name))
      const files = await Promise.all(names.sort().map((name) => find(name)))
      return files.filter((file) => file !== undefined)
    },
    async remove(file) {
      const current = place(file)
      if (!isDirectory(file.name)) return
      // The id is in the path, so this takes no other incarnation, whatever others do at the same moment.
      const doomed = path.join(root(), deletedName(file))
      await rename(current, doomed).catch(ignore('ENOENT'))
      await tidy(folder(file.name))
      await rm(doomed, { force: true })
    },
    async setAccess(file, access) {
      inspect(file)
      const mark = closedMark(file)
      if (access === 'open') await rm(mark, { force: true })
      else await (await open(mark, 'a', 0o600).catch(missing)).close()
      await keepOnDisk(path.dirname(mark)).catch(missing)
    },
    checkOpen(file) {
      if (lstatSync(closedMark(file), { throwIfNoEntry: false }) === undefined) return
      throw classifyConnectionError({ same: true, closed: true })
    },
    path(file) {
      inspect(file)
      const target = place(file)
      if (realPath(target) !== target) throw notOurs(file.name)
      return target
    },
    mark(file) {
      const { dev, ino } = inspect(file)
      return `${dev}:${ino}`
    },
  }
}

/** Until its directory is written, a power cut may undo what was made or removed in it. */
async function keepOnDisk(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** @throws `tenant_not_found` where the directory went meanwhile */
function missing(error: unknown): never {
  throw (error as { code?: unknown }).code === 'ENOENT' ? gone() : error
}

/** @throws `tenant_not_found` when it went between two looks */
function realPath(target: string): string {
  try {
    return realpathSync(target)
  } catch (error) {
    return missing(error)
  }
}

function gone(): unknown {
  return classifyConnectionError(undefined)
}

function foreign(): TenancyError {
  return new TenancyError('internal', 'Not the name of a database file')
}

function notOurs(name: string): TenancyError {
  return new TenancyError(
    'provider_rejected',
    `${name} under the root is not a database file of this library`,
  )
}
