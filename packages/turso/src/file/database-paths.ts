import { lstatSync, mkdirSync, realpathSync, type Stats } from 'node:fs'
import path from 'node:path'
import { classifyConnectionError, TenancyError } from '@tenantry/multi-tenancy/provider'
import { cleanUpAfterCrashes } from './crash-cleanup.ts'

/** A tenant's database on disk: `<root>/<name>/<id>.db`. */
export interface DatabaseFile {
  readonly name: string
  /** Random. A database that is created again under the same name has another one. */
  readonly id: string
}

/** Where the databases under one directory are. Every member creates the directory if it is missing. */
export interface DatabasePaths {
  root(): string
  folderPath(name: string): string
  filePath(file: DatabaseFile): string
  closedMarkerPath(file: DatabaseFile): string
  /** Whether the name's folder exists. Throws when a link or anything else has the name. */
  folderExists(name: string): boolean
  /**
   * Reads the files that are at the file's path.
   *
   * @throws `tenant_not_found` when the file is gone
   */
  inspect(file: DatabaseFile): Stats
}

/** The longest name. Every file system takes it with the suffixes that SQLite appends. */
export const MAX_NAME_LENGTH = 128

const NAME = /^[a-z0-9][a-z0-9_-]{0,127}$/
const ID = /^[0-9a-f]{16}$/
const CLOSED_SUFFIX = '-closed'

export function createDatabasePaths(directory: string): DatabasePaths {
  let checkedRoot: string | undefined

  function root(): string {
    if (checkedRoot === undefined) {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      checkedRoot = realpathSync(directory)
      void cleanUpAfterCrashes(checkedRoot).catch(() => {})
    }
    return checkedRoot
  }

  /** The core validates names. This check keeps a mistake there out of the file system. */
  function folderPath(name: string): string {
    if (!isValidName(name)) throw createInvalidNameError()
    return path.join(root(), name)
  }

  function filePath({ name, id }: DatabaseFile): string {
    if (typeof id !== 'string' || !ID.test(id)) throw createInvalidNameError()
    return path.join(folderPath(name), `${id}.db`)
  }

  function inspect(file: DatabaseFile): Stats {
    const stats = lstatSync(filePath(file), { throwIfNoEntry: false })
    if (stats === undefined) throw createGoneError()
    if (!stats.isFile()) throw createForeignError(file.name)
    return stats
  }

  /** Beside the file, so that it is deleted with it; named after it, so that it closes no other incarnation. */
  function closedMarkerPath(file: DatabaseFile): string {
    return `${filePath(file)}${CLOSED_SUFFIX}`
  }

  function folderExists(name: string): boolean {
    const stats = lstatSync(folderPath(name), { throwIfNoEntry: false })
    if (stats !== undefined && !stats.isDirectory()) throw createForeignError(name)
    return stats !== undefined
  }

  return { root, folderPath, filePath, closedMarkerPath, folderExists, inspect }
}

/** Whether a text can be the name of a database. */
export function isValidName(name: string): boolean {
  return typeof name === 'string' && NAME.test(name)
}

export function createGoneError(): unknown {
  return classifyConnectionError(undefined)
}

function createInvalidNameError(): TenancyError {
  return new TenancyError('internal', 'The name or id is not that of a database file')
}

export function createForeignError(name: string): TenancyError {
  return new TenancyError(
    'provider_rejected',
    `"${name}" under the root was not created by this library: it is not a folder with one database file`,
  )
}
