import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { ignore } from './errors.ts'

/** How a database that is being made is called. No tenant's name starts so, nor with a deleted one's. */
export const NEW = '.new-'
const DELETED = '.deleted-'
const UNFINISHED = /^\.deleted-[0-9a-f]{16}-([a-z0-9][a-z0-9_-]*)$/
/** What SQLite and a closing keep beside a database. */
const BESIDE = /^([0-9a-f]{16}\.db)-\w+$/
/** Milliseconds after which a half-made database is a crashed process's. */
const ABANDONED = 3_600_000

/** What a database is called from its deletion until the last of it is gone, so that another process can finish. */
export function deletedName({ name, id }: { readonly name: string; readonly id: string }): string {
  return `${DELETED}${id}-${name}`
}

/** Takes away what was kept beside databases that are gone, and a directory that is empty then. */
export async function tidy(directory: string): Promise<void> {
  const entries = (await readdir(directory).catch(ignore('ENOENT', 'ENOTDIR'))) ?? []
  for (const entry of entries) {
    const database = BESIDE.exec(entry)?.[1]
    if (database === undefined || entries.includes(database)) continue
    await rm(path.join(directory, entry), { force: true })
  }
  await rmdir(directory).catch(ignore('ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST'))
}

/** Removes what crashed processes left: the rest of a deletion, and databases never finished. */
export async function sweep(root: string): Promise<void> {
  for (const entry of await readdir(root)) {
    const target = path.join(root, entry)
    const abandoned = async (): Promise<boolean> => Date.now() - (await stat(target)).mtimeMs > ABANDONED
    const name = UNFINISHED.exec(entry)?.[1]
    if (name !== undefined) await tidy(path.join(root, name))
    if (entry.startsWith(DELETED) || (entry.startsWith(NEW) && (await abandoned().catch(() => false)))) {
      await rm(target, { recursive: true, force: true })
    }
  }
}
