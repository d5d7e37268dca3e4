import { HttpError } from '@tenantry/multi-tenancy/provider'
import { isWorkerMissing } from '../errors.ts'
import type { DatabaseRef } from '../types.ts'
import { CLOUDFLARE_API } from './api-fetch.ts'
import type { RestApi } from './rest-api.ts'
import { TENANT_WORKER, TENANT_WORKER_MODULE } from './tenant-worker-script.ts'

/** The Workers of a dispatch namespace that hold tenants' databases. */
export interface TenantWorkers {
  /** Uploads the database's Worker, or replaces it. A closed Worker has neither database nor key. */
  upload(database: DatabaseRef, access: 'open' | 'closed', signal: AbortSignal): Promise<void>
  /** Uploads an open Worker unless the database has one, open or closed. */
  ensure(database: DatabaseRef, signal: AbortSignal): Promise<void>
  /** Succeeds for a Worker that does not exist. */
  remove(database: DatabaseRef, signal: AbortSignal): Promise<void>
  /** The databases of the Workers in the namespace whose names start with `prefix`. */
  list(prefix: string, signal: AbortSignal): Promise<DatabaseRef[]>
}

export interface TenantWorkersOptions {
  readonly api: Pick<RestApi, 'request'>
  readonly namespace: string
  readonly deriveKey: (database: DatabaseRef) => Promise<string>
}

/** The date that the Worker was written and tested for. */
const COMPATIBILITY_DATE = '2026-04-01'

export function createTenantWorkers({ api, namespace, deriveKey }: TenantWorkersOptions): TenantWorkers {
  const scripts = ['workers', 'dispatch', 'namespaces', namespace, 'scripts']

  async function upload(
    database: DatabaseRef,
    access: 'open' | 'closed',
    signal: AbortSignal,
  ): Promise<void> {
    const bindings = [
      { type: 'plain_text', name: 'DATABASE_ID', text: database.uuid },
      ...(access === 'closed'
        ? []
        : [
            { type: 'd1', name: 'DB', database_id: database.uuid },
            { type: 'secret_text', name: 'KEY', text: await deriveKey(database) },
          ]),
    ]
    const metadata = {
      main_module: TENANT_WORKER_MODULE,
      compatibility_date: COMPATIBILITY_DATE,
      bindings,
      tags: ['tenantry'],
    }
    // Not the SDK's own upload, which flattens `metadata`: the API requires it as one part.
    // https://github.com/cloudflare/cloudflare-typescript/issues/2799
    const form = new FormData()
    form.append('metadata', toBlob(JSON.stringify(metadata), 'application/json'), 'metadata.json')
    const code = toBlob(TENANT_WORKER, 'application/javascript+module')
    form.append(TENANT_WORKER_MODULE, code, TENANT_WORKER_MODULE)
    // As bytes: Node leaves an unhandled rejection when a request with a form as its body is aborted.
    const body = new Response(form)
    const bytes = await body.arrayBuffer()
    await api.request('put', [...scripts, toScriptName(database)], {
      signal,
      body: { bytes, type: body.headers.get('content-type') ?? '' },
    })
  }

  return {
    upload,
    async ensure(database, signal) {
      try {
        await api.request('get', [...scripts, toScriptName(database), 'settings'], { signal })
      } catch (error) {
        if (!isWorkerMissing(error)) throw error
        await upload(database, 'open', signal)
      }
    },
    async remove(database, signal) {
      const path = [...scripts, toScriptName(database)]
      await api.request('delete', path, { signal, query: { force: 'true' } }).catch((error: unknown) => {
        if (!isWorkerMissing(error)) throw error
      })
    },
    async list(prefix, signal) {
      const workers = await api.request('get', scripts, { signal })
      if (!Array.isArray(workers)) {
        throw new HttpError(CLOUDFLARE_API, 0, `${CLOUDFLARE_API} did not send a list of Workers`)
      }
      return workers
        .flatMap((worker) => parseScriptName(worker?.script?.id) ?? [])
        .filter(({ name }) => name.startsWith(prefix))
    },
  }
}

/**
 * The name of a database's Worker: the database's name, then its uuid in 25 digits of base 36. So the next database
 * of the same name has another Worker, and a leftover Worker names its database.
 */
export function toScriptName({ name, uuid }: DatabaseRef): string {
  const digits = BigInt(`0x${uuid.replaceAll('-', '')}`).toString(36)
  return `${name}-${digits.padStart(25, '0')}`
}

/** The database that a Worker's name stands for; `undefined` for Workers of other apps. */
export function parseScriptName(script: unknown): DatabaseRef | undefined {
  const match = typeof script === 'string' ? /^([a-z0-9][a-z0-9_-]*)-([0-9a-z]{25})$/.exec(script) : null
  const [, name, digits] = match ?? []
  if (name === undefined || digits === undefined) return undefined
  let id = 0n
  for (const digit of digits) id = id * 36n + BigInt(Number.parseInt(digit, 36))
  const hex = id.toString(16).padStart(32, '0')
  if (hex.length > 32) return undefined
  return { name, uuid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') }
}

function toBlob(text: string, type: string): Blob {
  return new Blob([text], { type })
}
