import { randomBytes } from 'node:crypto'
import { lstatSync, realpathSync } from 'node:fs'
import { mkdtemp, open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { classifyConnectionError } from '@tenantry/multi-tenancy/provider'
import { DRAFT_PREFIX, deletedName, removeOrphans } from './crash-cleanup.ts'
import {
  createDatabasePaths,
  createForeignError,
  createGoneError,
  type DatabaseFile,
  isValidName,
} from './database-paths.ts'
import { ignoreCodes } from './errors.ts'

/** The databases under one directory. */
export interface DatabaseFiles {
  /** Creates an empty database, or finds the existing one. Of several concurrent processes exactly one creates it. */
  create(name: string): Promise<{ file: DatabaseFile; created: boolean }>
  find(name: string): Promise<DatabaseFile | undefined>
  /** The files whose name starts with `prefix`, sorted by name. */
  list(prefix: string): Promise<DatabaseFile[]>
  /** Deletes this file and its companions. Succeeds when the file is gone; another incarnation is left alone. */
  remove(file: DatabaseFile): Promise<void>
  /**
   * Closes the file to every process, or opens it again. A marker file beside the database keeps the state.
   *
   * @throws `tenant_not_found` when the file is gone
   */
  setAccess(file: DatabaseFile, access: 'open' | 'closed'): Promise<void>
  /** Reads the marker on disk, because another process may have closed the file. @throws `tenant_suspended` when closed */
  checkOpen(file: DatabaseFile): void
  /**
   * The path of the file, checked to be a regular file inside the root and reached through no link.
   *
   * @throws `tenant_not_found` when the file is gone
   */
  path(file: DatabaseFile): string
  /** Changes when another file is at the path. Throws as `path` does. */
  fingerprint(file: DatabaseFile): string
}

const FILE = /^([0-9a-f]{16})\.db$/
/** A name that is neither found nor free was deleted by another process in between. So often only by a foreign file. */
const MAX_ATTEMPTS = 30

/**
 * Opens a directory of databases. A missing one is created with mode 0700.
 *
 * Every database has a folder of its own, so that one `rename` creates it for exactly one of several processes. Its
 * file is named by its id, so that one `rename` deletes it and no other. SQLite would replay a write-ahead log that was
 * left behind into the next database at that path; since ids are never reused, there is no next one.
 */
export function openDatabaseFiles(directory: string): DatabaseFiles {
  const { root, folderPath, filePath, closedMarkerPath, folderExists, inspect } =
    createDatabasePaths(directory)

  async function find(name: string): Promise<DatabaseFile | undefined> {
    if (!folderExists(name)) return undefined
    const entries = await readdir(folderPath(name)).catch(ignoreCodes('ENOENT'))
    const ids = (entries ?? []).flatMap((entry) => FILE.exec(entry)?.[1] ?? [])
    if (ids.length > 1) throw createForeignError(name)
    return ids[0] === undefined ? undefined : { name, id: ids[0] }
  }

  /** Creates an empty database. `undefined` when the name is taken. */
  async function createFile(name: string): Promise<DatabaseFile | undefined> {
    const draft = await mkdtemp(path.join(root(), DRAFT_PREFIX))
    const file = { name, id: randomBytes(8).toString('hex') }
    try {
      await (await open(path.join(draft, `${file.id}.db`), 'wx', 0o600)).close()
      await rename(draft, folderPath(name))
      return file
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      return ignoreCodes('ENOTEMPTY', 'EEXIST')(error)
    }
  }

  return {
    find,
    async create(name) {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const existing = await find(name)
        if (existing !== undefined) return { file: existing, created: false }
        const file = await createFile(name)
        if (file !== undefined) return { file, created: true }
        // Deleted concurrently, or deleted in part by a process that crashed.
        await removeOrphans(folderPath(name))
      }
      throw createForeignError(name)
    },
    async list(prefix) {
      const names = (await readdir(root())).filter((name) => name.startsWith(prefix) && isValidName(name))
      const files = await Promise.all(names.sort().map((name) => find(name)))
      return files.filter((file) => file !== undefined)
    },
    async remove(file) {
      const current = filePath(file)
      if (!folderExists(file.name)) return
      // The id is in the path, so no concurrent change can make this delete another incarnation.
      const deleted = path.join(root(), deletedName(file))
      await rename(current, deleted).catch(ignoreCodes('ENOENT'))
      await removeOrphans(folderPath(file.name))
      await rm(deleted, { force: true })
    },
    async setAccess(file, access) {
      inspect(file)
      const marker = closedMarkerPath(file)
      if (access === 'open') await rm(marker, { force: true })
      else await (await open(marker, 'a', 0o600).catch(throwGone)).close()
      await syncFolder(path.dirname(marker)).catch(throwGone)
    },
    checkOpen(file) {
      if (lstatSync(closedMarkerPath(file), { throwIfNoEntry: false }) === undefined) return
      throw classifyConnectionError({ same: true, closed: true })
    },
    path(file) {
      inspect(file)
      const target = filePath(file)
      if (resolveLinks(target) !== target) throw createForeignError(file.name)
      return target
    },
    fingerprint(file) {
      const { dev, ino } = inspect(file)
      return `${dev}:${ino}`
    },
  }
}

/** Writes a folder to disk. Until then a power cut may undo its latest changes. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** @throws `tenant_not_found` when the folder was removed meanwhile, otherwise the error itself */
function throwGone(error: unknown): never {
  throw (error as { code?: unknown }).code === 'ENOENT' ? createGoneError() : error
}

/** @throws `tenant_not_found` when the file was removed after it was inspected */
function resolveLinks(target: string): string {
  try {
    return realpathSync(target)
  } catch (error) {
    return throwGone(error)
  }
}
