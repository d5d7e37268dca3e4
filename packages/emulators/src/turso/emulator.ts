import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Fetch } from '../client.ts'
import { createFaultEngine } from '../fault-engine.ts'
import type { Call, RequestRecord } from './call.ts'
import { createDataPlane } from './data-plane.ts'
import { createDatabases } from './databases.ts'

import type { FaultTarget } from './fault-engine.ts'
import { createFaults, type Faults } from './faults.ts'
import { createEmulatorFetch } from './fetch.ts'
import { createGroups } from './groups.ts'
import { createNamespaces } from './namespaces.ts'
import { createOracle, type TursoOracle } from './oracle.ts'
import { createPlatform } from './platform.ts'
import { createPlatformTokens, mintPlatformToken } from './platform-tokens.ts'
import { presentDatabase } from './present.ts'
import { openRecords, type Records } from './records.ts'
import { type Exchange, startServer } from './server.ts'
import { startSqld } from './sqld.ts'
import { findSqld } from './sqld-binary.ts'
import { createSigningKey } from './tokens.ts'

/** How to start a Turso emulator; every option has a default. */
export interface TursoEmulatorOptions {
  /** The port on 127.0.0.1. @default 0, a free one */
  readonly port?: number | undefined
  /** The organization's slug: lower-case letters, digits and dashes. @default 'tenantry' */
  readonly organization?: string | undefined
  /** The platform token to accept. @default a new one */
  readonly apiToken?: string | undefined
  /** A directory that keeps databases, keys and tokens between runs. @default a temporary one, removed on close */
  readonly persistTo?: string | undefined
  /** The longest page of a list of databases. @default the whole list, unless the caller sets `limit` */
  readonly pageSize?: number | undefined
  /**
   * Whose tokens end when a database's credentials are rotated: its own and its group's, or those of every
   * database in the group. The documentation of the service can be read both ways. @default 'database'
   *
   * @see https://docs.turso.tech/cli/db/tokens/invalidate
   */
  readonly rotation?: 'database' | 'group' | undefined
  /** The clock of tokens and windows, in milliseconds since the epoch. sqld has its own. @default Date.now */
  readonly now?: (() => number) | undefined
  /** Sees every answer of the Platform API after it was sent. */
  readonly onExchange?: ((exchange: Exchange) => void) | undefined
  /** The libSQL server's binary. @default the one of the optional package for this machine */
  readonly sqldPath?: string | undefined
}

/** A running Turso emulator. */
export interface TursoEmulator {
  /** The Platform API's base, such as `http://127.0.0.1:40123`, without a slash at its end. */
  readonly url: string
  readonly organization: string
  /** The platform token, for the organization and everything in it. */
  readonly apiToken: string
  /** Reaches only the emulator, by its own address and by the real service's. */
  readonly fetch: Fetch
  readonly faults: Faults
  /** The received requests, in order; live. Contains no tokens, headers or bodies. */
  readonly requests: RequestRecord[]
  readonly oracle: TursoOracle
  /** The process id of the libSQL server. */
  readonly sqldPid: number
  /** Ends the server and its libSQL server, and removes their temporary files. Idempotent. */
  close(): Promise<void>
}

/**
 * Starts the Turso Platform API on loopback, over a real libSQL server of its own.
 *
 * @throws Error when no libSQL server is installed for this machine, when it ends as it starts (with what it
 * wrote), when the port is taken, and when `persistTo` holds another organization's databases
 * @example
 * ```ts
 * const turso = await startTursoEmulator()
 * const client = createClient({ url: `libsql://${hostname}`, authToken, fetch: turso.fetch })
 * await turso.close()
 * ```
 */
export async function startTursoEmulator(options: TursoEmulatorOptions = {}): Promise<TursoEmulator> {
  const { port = 0, organization, apiToken, persistTo, pageSize, rotation = 'database', onExchange } = options
  const { now = Date.now, sqldPath = findSqld() } = options
  if (organization !== undefined && !/^[a-z0-9-]{1,61}$/.test(organization)) {
    throw new TypeError('organization must be a slug: lower-case letters, digits and dashes')
  }
  // The parts started so far, closed in reverse order.
  const undo: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step()
  }
  try {
    const temporary =
      persistTo === undefined ? await mkdtemp(path.join(tmpdir(), 'tenantry-turso-')) : undefined
    if (temporary !== undefined) undo.push(() => rm(temporary, { recursive: true, force: true }))
    const dataDirectory = path.join(persistTo ?? temporary ?? '', 'sqld')
    await mkdir(dataDirectory, { recursive: true })
    const platformKey = createSigningKey()
    const records = await openRecords({ directory: persistTo, organization, apiToken }, () =>
      mintPlatformToken(platformKey, now()),
    )
    await addDefaultGroup(records)
    const sqld = await startSqld({ binary: sqldPath, dataDirectory, temporaryDirectory: temporary })
    undo.push(sqld.stop)

    const requests: RequestRecord[] = []
    const engine = createFaultEngine<Call, FaultTarget>()
    const { faults, duplicate } = createFaults(engine, now, (name) => {
      const record = records.databases.get(name)
      return record && presentDatabase(record)
    })
    const namespaces = createNamespaces(sqld, dataDirectory)
    const databases = createDatabases({ records, namespaces, duplicate, rotation, now })
    const groups = createGroups(records, databases, namespaces)
    const tokens = createPlatformTokens(records.apiToken, platformKey, now)
    const data = createDataPlane(sqld, records)
    undo.push(data.close)
    const server = await startServer({
      ...{ organization: records.organization, port, engine, requests, onExchange, data: data.handle },
      platform: createPlatform({ records, databases, groups, tokens, pageSize, now }),
    })
    undo.push(
      // A change under way ends before sqld does.
      () => records.change(async () => {}),
      server.close,
      faults.clear,
    )
    return {
      url: server.url,
      organization: records.organization,
      apiToken: records.apiToken,
      fetch: createEmulatorFetch(server.url, records.organization, requests),
      faults,
      requests,
      oracle: createOracle({ records, databases, namespaces, sqld, tokens }),
      sqldPid: sqld.pid,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Every organization starts with a group, as a real account does. */
async function addDefaultGroup(records: Records): Promise<void> {
  if (records.groups.size > 0) return
  await records.change(async () => {
    records.groups.set('default', {
      ...{ name: 'default', uuid: randomUUID(), location: 'aws-us-east-1', deleteProtection: false },
      key: createSigningKey(),
      issued: false,
    })
  })
}
