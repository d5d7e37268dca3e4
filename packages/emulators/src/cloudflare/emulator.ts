import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { cloudflareEmulatorDispatcher, type DispatcherLike, type Fetch } from '../client.ts'
import { createFaultEngine } from '../fault-engine.ts'
import { createApi } from './api.ts'
import { apiPath, type Call, type CloudflareRequestRecord } from './call.ts'
import { createDispatch } from './dispatch.ts'
import { type CloudflareFaults, type CloudflareFaultTarget, createFaults } from './faults.ts'
import { createEmulatorFetch } from './fetch.ts'
import { createFiles } from './files.ts'
import { type CloudflareOracle, createOracle } from './oracle.ts'
import { newNamespace, openRecords, type Records } from './records.ts'
import { toWireScript } from './script-upload.ts'
import { type CloudflareExchange, startServer } from './server.ts'
import { createStorage } from './storage.ts'
import { startWorkerd } from './workerd.ts'

/** How to start a Cloudflare emulator; every option has a default. */
export interface CloudflareEmulatorOptions {
  /** The port on 127.0.0.1. @default 0, a free one */
  readonly port?: number | undefined
  /** The account's id: 32 hexadecimal digits. @default '00000000000000000000000000007e4a' */
  readonly accountId?: string | undefined
  /** The API token to accept, which may do everything. @default a new one */
  readonly apiToken?: string | undefined
  /** A directory that keeps databases, scripts and the token between runs. @default a temporary one, removed on close */
  readonly persistTo?: string | undefined
  /** Databases the account may have; a free one may have 10. @default 50_000 */
  readonly databaseLimit?: number | undefined
  /** Dispatch namespaces that are there from the start. @default none, as in a new account */
  readonly dispatchNamespaces?: readonly string[] | undefined
  /** The clock of windows, histories and time stamps, in milliseconds since the epoch. @default Date.now */
  readonly now?: (() => number) | undefined
  /** Sees every answer of the API after it was sent. */
  readonly onExchange?: ((exchange: CloudflareExchange) => void) | undefined
}

/** A running Cloudflare emulator. */
export interface CloudflareEmulator {
  /** Where it listens, such as `http://127.0.0.1:40123`, without a slash at its end. */
  readonly url: string
  /** The API's base, for the SDK's `baseURL` and wrangler's `CLOUDFLARE_API_BASE_URL`: `{url}/client/v4`. */
  readonly baseUrl: string
  readonly accountId: string
  /** The token that may do everything. */
  readonly apiToken: string
  /** Reaches the emulator, by its own address and as `api.cloudflare.com`, and nothing else. */
  readonly fetch: Fetch
  readonly faults: CloudflareFaults
  /** The received requests, in order; live. Contains no tokens, headers or bodies. */
  readonly requests: CloudflareRequestRecord[]
  readonly oracle: CloudflareOracle
  /** A stand-in for the binding of a dispatch namespace, which has no local form of its own. */
  dispatcher(namespace: string): DispatcherLike
  /** Ends the server, its workerd and what they kept in temporary files. Closing twice is fine. */
  close(): Promise<void>
}

/**
 * Starts Cloudflare's D1 REST API and its dispatch namespaces on loopback, over a workerd of its own.
 *
 * @throws TypeError for an account id that is none; Error when the port is taken, when workerd does not start, and
 * when `persistTo` holds another account's databases
 * @example
 * ```ts
 * const cloudflare = await startCloudflareEmulator()
 * const client = new Cloudflare({ apiToken: cloudflare.apiToken, baseURL: cloudflare.baseUrl })
 * const { uuid } = await client.d1.database.create({ account_id: cloudflare.accountId, name: 'notes' })
 * await cloudflare.close()
 * ```
 */
export async function startCloudflareEmulator(
  options: CloudflareEmulatorOptions = {},
): Promise<CloudflareEmulator> {
  const { port = 0, accountId, apiToken, persistTo, dispatchNamespaces = [], onExchange } = options
  const { databaseLimit = 50_000, now = Date.now } = options
  if (accountId !== undefined && !/^[0-9a-f]{32}$/.test(accountId)) {
    throw new TypeError('accountId must be 32 hexadecimal digits')
  }
  // The parts started so far, closed in reverse order.
  const undo: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step()
  }
  try {
    const temporary =
      persistTo === undefined ? await mkdtemp(path.join(tmpdir(), 'tenantry-cloudflare-')) : undefined
    if (temporary !== undefined) undo.push(() => rm(temporary, { recursive: true, force: true }))
    const directory = path.join(persistTo ?? temporary ?? '', 'd1')
    await mkdir(directory, { recursive: true })
    const records = await openRecords({ directory: persistTo, accountId, apiToken })
    await addNamespaces(records, dispatchNamespaces, now())
    const secret = randomBytes(24).toString('base64url')
    const workerd = await startWorkerd({
      ...{ directory, temporary, secret },
      script: (id) => {
        const record = [...records.scripts.values()].find(
          ({ namespace, name, version }) => id === `${namespace}/${name}@${version}`,
        )
        return record && toWireScript(record)
      },
    })
    const storage = createStorage({ port: workerd.port, secret, now })
    undo.push(workerd.stop, storage.close)

    const requests: CloudflareRequestRecord[] = []
    const engine = createFaultEngine<Call, CloudflareFaultTarget>()
    const faults = createFaults(engine, now)
    let url = ''
    const files = createFiles(() => url, now)
    const server = await startServer({
      ...{ port, engine, requests, onExchange, find: records.find },
      handlers: {
        api: createApi({ records, storage, files, databaseLimit, now }),
        dispatch: createDispatch(records, storage),
        files: files.handle,
      },
    })
    url = server.url
    undo.push(
      // A change under way ends before workerd does.
      () => records.change(async () => {}),
      server.close,
      faults.clear,
    )
    const emulatorFetch = createEmulatorFetch(url, requests)
    return {
      ...{ url, baseUrl: `${url}${apiPath}`, accountId: records.accountId, apiToken: records.apiToken },
      fetch: emulatorFetch,
      faults,
      requests,
      oracle: createOracle(records, storage, now),
      dispatcher: (namespace) => cloudflareEmulatorDispatcher(url, namespace, emulatorFetch),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function addNamespaces(records: Records, names: readonly string[], now: number): Promise<void> {
  await records.change(async () => {
    for (const name of names) {
      if (!records.namespaces.has(name)) records.namespaces.set(name, newNamespace(name, now))
    }
  })
}
