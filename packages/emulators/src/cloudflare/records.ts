import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Permission } from './operations.ts'

/** A database as the emulator remembers it. */
export interface DatabaseRecord {
  readonly uuid: string
  readonly name: string
  readonly createdAt: string
  readonly jurisdiction: string | undefined
  readonly region: string
  replication: 'auto' | 'disabled'
}

/** A dispatch namespace. */
export interface NamespaceRecord {
  readonly id: string
  readonly name: string
  readonly createdOn: string
}

/** One module of a script. */
export interface ModuleRecord {
  readonly name: string
  readonly type: string
  readonly text: string
}

/** One binding of a script, as it was uploaded; a secret's text too. */
export type Binding = Readonly<Record<string, unknown>> & { readonly name: string; readonly type: string }

/** A script in a dispatch namespace. */
export interface ScriptRecord {
  readonly namespace: string
  readonly name: string
  /** Another upload is another version. */
  readonly version: string
  readonly mainModule: string
  readonly modules: readonly ModuleRecord[]
  readonly bindings: readonly Binding[]
  readonly compatibilityDate: string
  readonly compatibilityFlags: readonly string[]
  readonly tags: readonly string[]
  readonly createdOn: string
  readonly modifiedOn: string
}

/** Everything the emulator remembers but the databases' content: in memory and, when it persists, in a JSON file. */
export interface Records {
  readonly accountId: string
  readonly apiToken: string
  /** Other tokens and what each may do. */
  readonly tokens: Map<string, readonly Permission[]>
  /** By uuid, in the order of their creation. */
  readonly databases: Map<string, DatabaseRecord>
  readonly namespaces: Map<string, NamespaceRecord>
  /** By `namespace/name`. */
  readonly scripts: Map<string, ScriptRecord>
  /** The database of a uuid or a name. */
  find(idOrName: string): DatabaseRecord | undefined
  /** Runs one change at a time, and saves after it. Changes never overlap, so each sees a settled state. */
  change<T>(work: () => Promise<T>): Promise<T>
}

interface Saved {
  accountId: string
  apiToken: string
  databases: DatabaseRecord[]
  namespaces: NamespaceRecord[]
  scripts: ScriptRecord[]
}

/** The default account: a well-formed id that belongs to no real account. */
export const defaultAccountId = '00000000000000000000000000007e4a'

/**
 * Loads the saved records, or starts empty.
 *
 * @throws Error when the directory belongs to another account
 */
export async function openRecords(options: {
  directory: string | undefined
  accountId: string | undefined
  apiToken: string | undefined
}): Promise<Records> {
  const { directory } = options
  const file = directory === undefined ? undefined : path.join(directory, 'cloudflare.json')
  const saved = file === undefined ? undefined : await load(file)
  if (saved && options.accountId !== undefined && saved.accountId !== options.accountId) {
    throw new Error(`${directory} holds the databases of account ${saved.accountId}`)
  }
  const accountId = saved?.accountId ?? options.accountId ?? defaultAccountId
  const apiToken = options.apiToken ?? saved?.apiToken ?? randomBytes(30).toString('base64url')
  const databases = new Map(saved?.databases.map((record) => [record.uuid, record]))
  const namespaces = new Map(saved?.namespaces.map((record) => [record.name, record]))
  const scripts = new Map(saved?.scripts.map((record) => [`${record.namespace}/${record.name}`, record]))

  const save = async (): Promise<void> => {
    if (file === undefined) return
    const [a, b, c] = [databases, namespaces, scripts].map((map) => [...map.values()])
    const state = { accountId, apiToken, databases: a, namespaces: b, scripts: c }
    // It holds secrets. A rename is atomic: a reader finds the old file or the new one.
    await writeFile(`${file}.new`, JSON.stringify(state), { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  let last: Promise<unknown> = Promise.resolve()
  const change: Records['change'] = (work) => {
    const result = last.then(async () => {
      const value = await work()
      await save()
      return value
    })
    last = result.catch(() => {})
    return result
  }
  const find: Records['find'] = (idOrName) =>
    databases.get(idOrName) ?? [...databases.values()].find(({ name }) => name === idOrName)
  if (directory !== undefined) await mkdir(directory, { recursive: true })
  return { accountId, apiToken, tokens: new Map(), databases, namespaces, scripts, find, change }
}

/** A namespace that is new. */
export function newNamespace(name: string, now: number): NamespaceRecord {
  return { id: randomUUID(), name, createdOn: new Date(now).toISOString() }
}

async function load(file: string): Promise<Saved | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Saved
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
