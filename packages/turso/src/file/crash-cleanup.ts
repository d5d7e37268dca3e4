import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { ignoreCodes } from './errors.ts'

/** The name of a folder whose database is being created starts so. No tenant's name does. */
export const DRAFT_PREFIX = '.new-'
const DELETED_PREFIX = '.deleted-'
const DELETED = /^\.deleted-[0-9a-f]{16}-([a-z0-9][a-z0-9_-]*)$/
/** Files that SQLite and `setAccess` keep beside a database. */
const COMPANION = /^([0-9a-f]{16}\.db)-\w+$/
/** Milliseconds after which an unfinished database is presumed to be a crashed process's. */
const ABANDONED_AFTER = 3_600_000

/** The name of a file from its deletion until everything beside it is deleted, so that another process can finish. */
export function deletedName({ name, id }: { readonly name: string; readonly id: string }): string {
  return `${DELETED_PREFIX}${id}-${name}`
}

/** Removes the companions of databases that are gone, and the folder when it is empty. */
export async function removeOrphans(folder: string): Promise<void> {
  const entries = (await readdir(folder).catch(ignoreCodes('ENOENT', 'ENOTDIR'))) ?? []
  for (const entry of entries) {
    const database = COMPANION.exec(entry)?.[1]
    if (database === undefined || entries.includes(database)) continue
    await rm(path.join(folder, entry), { force: true })
  }
  await rmdir(folder).catch(ignoreCodes('ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST'))
}

/** Finishes the deletions of crashed processes, and removes databases that they did not finish creating. */
export async function cleanUpAfterCrashes(root: string): Promise<void> {
  for (const entry of await readdir(root)) {
    const target = path.join(root, entry)
    const isAbandoned = async (): Promise<boolean> =>
      Date.now() - (await stat(target)).mtimeMs > ABANDONED_AFTER
    const name = DELETED.exec(entry)?.[1]
    if (name !== undefined) await removeOrphans(path.join(root, name))
    const isDraft = entry.startsWith(DRAFT_PREFIX)
    if (entry.startsWith(DELETED_PREFIX) || (isDraft && (await isAbandoned().catch(() => false)))) {
      await rm(target, { recursive: true, force: true })
    }
  }
}
