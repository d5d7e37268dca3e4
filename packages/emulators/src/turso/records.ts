import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createSigningKey, type SigningKey } from './tokens.ts'

/** A group as the emulator remembers it. */
export interface GroupRecord {
  readonly name: string
  readonly uuid: string
  readonly location: string
  deleteProtection: boolean
  key: SigningKey
  /** Whether a token was minted with the key; until then a new key needs no rotation. */
  issued: boolean
}

/** A database as the emulator remembers it. */
export interface DatabaseRecord {
  readonly name: string
  readonly id: string
  readonly hostname: string
  readonly namespace: string
  readonly group: string
  readonly location: string
  readonly parent: { readonly id: string; readonly name: string; readonly branched_at: string } | null
  key: SigningKey
  sizeLimit: string
  allowAttach: boolean
  blockReads: boolean
  blockWrites: boolean
  deleteProtection: boolean
  allowedIps: string[]
  allowedVpcIds: string[]
}

/** Everything the emulator remembers, in memory and, when it persists, in one JSON file. */
export interface Records {
  readonly organization: string
  readonly apiToken: string
  /** The emulator's own key, accepted by every namespace, for the oracle. */
  readonly internalKey: SigningKey
  readonly groups: Map<string, GroupRecord>
  readonly databases: Map<string, DatabaseRecord>
  /** Runs one change at a time, and saves after it. Changes never overlap, so each sees a settled state. */
  change<T>(work: () => Promise<T>): Promise<T>
}

/** The start values of a new emulator. Saved values take precedence over generated ones. */
export interface RecordsOptions {
  /** Where `emulator.json` lives; `undefined` keeps everything in memory. */
  readonly directory: string | undefined
  readonly organization: string | undefined
  readonly apiToken: string | undefined
}

interface Saved {
  organization: string
  apiToken: string
  internalKey: SigningKey
  groups: GroupRecord[]
  databases: DatabaseRecord[]
}

/**
 * Loads the saved records, or starts empty.
 *
 * @throws Error when the directory belongs to another organization
 */
export async function openRecords(
  options: RecordsOptions,
  createApiToken: () => Promise<string>,
): Promise<Records> {
  const { directory } = options
  const file = directory === undefined ? undefined : path.join(directory, 'emulator.json')
  const saved = file === undefined ? undefined : await load(file)
  if (saved && options.organization !== undefined && saved.organization !== options.organization) {
    throw new Error(
      `${directory} holds the databases of ${saved.organization}, not of ${options.organization}`,
    )
  }
  const organization = saved?.organization ?? options.organization ?? 'tenantry'
  const apiToken = options.apiToken ?? saved?.apiToken ?? (await createApiToken())
  const internalKey = saved?.internalKey ?? createSigningKey()
  const groups = new Map(saved?.groups.map((group) => [group.name, group]))
  const databases = new Map(saved?.databases.map((database) => [database.name, database]))

  const save = async (): Promise<void> => {
    if (file === undefined) return
    const state: Saved = {
      ...{ organization, apiToken, internalKey },
      ...{ groups: [...groups.values()], databases: [...databases.values()] },
    }
    // It holds private keys. A rename is atomic: a reader finds the old file or the new one.
    await writeFile(`${file}.new`, JSON.stringify(state), { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  let last: Promise<unknown> = Promise.resolve()
  const change = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(async () => {
      const value = await work()
      await save()
      return value
    })
    last = result.catch(() => {})
    return result
  }
  if (directory !== undefined) await mkdir(directory, { recursive: true })
  return { organization, apiToken, internalKey, groups, databases, change }
}

async function load(file: string): Promise<Saved | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Saved
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
