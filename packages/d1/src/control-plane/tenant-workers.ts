import type { D1Api, KnownD1 } from './rest-api.ts'
import { ApiError, isMissingWorker } from './strict-fetch.ts'
import { DATA_WORKER, DATA_WORKER_MODULE } from './tenant-worker-script.ts'

/** The Workers of a dispatch namespace that hold tenants' databases. */
export interface TenantWorkers {
  /** Puts the database's Worker there, or puts it there again; a shut one holds neither database nor key. */
  upload(database: KnownD1, access: 'open' | 'closed', signal: AbortSignal): Promise<void>
  /** Puts it there unless it is there already, open or shut. */
  ensure(database: KnownD1, signal: AbortSignal): Promise<void>
  /** Absent is done. */
  remove(database: KnownD1, signal: AbortSignal): Promise<void>
  /** The databases that Workers are there for, whose names start so. */
  list(prefix: string, signal: AbortSignal): Promise<KnownD1[]>
}

export interface TenantWorkersOptions {
  readonly api: Pick<D1Api, 'call'>
  readonly namespace: string
  readonly keyOf: (database: KnownD1) => Promise<string>
}

/** What the Worker was written and tested for. */
const COMPATIBILITY_DATE = '2026-04-01'

export function createTenantWorkers({ api, namespace, keyOf }: TenantWorkersOptions): TenantWorkers {
  const scripts = ['workers', 'dispatch', 'namespaces', namespace, 'scripts']

  const workers: TenantWorkers = {
    async upload(database, access, signal) {
      const own = [
        { type: 'd1', name: 'DB', database_id: database.uuid },
        { type: 'secret_text', name: 'KEY', text: await keyOf(database) },
      ]
      const metadata = {
        main_module: DATA_WORKER_MODULE,
        compatibility_date: COMPATIBILITY_DATE,
        bindings: [
          { type: 'plain_text', name: 'DATABASE_ID', text: database.uuid },
          ...(access === 'open' ? own : []),
        ],
        tags: ['tenantry'],
      }
      // By hand: the SDK's own upload flattens `metadata`, and the API wants it as one part.
      // https://github.com/cloudflare/cloudflare-typescript/issues/2799
      const form = new FormData()
      form.append('metadata', part(JSON.stringify(metadata), 'application/json'), 'metadata.json')
      form.append(DATA_WORKER_MODULE, part(DATA_WORKER, 'application/javascript+module'), DATA_WORKER_MODULE)
      // As bytes: Node rejects a promise of nobody's when a request is aborted whose body is a form.
      const body = new Response(form)
      const bytes = await body.arrayBuffer()
      await api.call('put', [...scripts, scriptNameOf(database)], {
        signal,
        body: { bytes, type: body.headers.get('content-type') ?? '' },
      })
    },
    async ensure(database, signal) {
      const path = [...scripts, scriptNameOf(database), 'settings']
      const there = await api.call('get', path, { signal }).then(
        () => true,
        (error: unknown) => {
          if (isMissingWorker(error)) return false
          throw error
        },
      )
      if (!there) await workers.upload(database, 'open', signal)
    },
    async remove(database, signal) {
      const path = [...scripts, scriptNameOf(database)]
      await api.call('delete', path, { signal, query: { force: 'true' } }).catch((error: unknown) => {
        if (!isMissingWorker(error)) throw error
      })
    },
    async list(prefix, signal) {
      const found = await api.call('get', scripts, { signal })
      if (!Array.isArray(found)) throw new ApiError(200, 'Cloudflare answered with no list of Workers')
      return found
        .flatMap((script) => databaseOfScript(script?.script?.id) ?? [])
        .filter(({ name }) => name.startsWith(prefix))
    },
  }
  return workers
}

/**
 * The Worker's name: the database's and, in 25 digits of base 36, its uuid. So the next database of the name has
 * another Worker, and a Worker that was left over says what it was for.
 */
export function scriptNameOf({ name, uuid }: KnownD1): string {
  return `${name}-${BigInt(`0x${uuid.replaceAll('-', '')}`)
    .toString(36)
    .padStart(25, '0')}`
}

/** The database a Worker is for, by its name; `undefined` for a Worker of another kind. */
export function databaseOfScript(script: unknown): KnownD1 | undefined {
  const [, name, digits] =
    (typeof script === 'string' && /^([a-z0-9][a-z0-9_-]*)-([0-9a-z]{25})$/.exec(script)) || []
  if (name === undefined || digits === undefined) return undefined
  let id = 0n
  for (const digit of digits) id = id * 36n + BigInt(Number.parseInt(digit, 36))
  const hex = id.toString(16).padStart(32, '0')
  if (hex.length > 32) return undefined
  return { name, uuid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') }
}

function part(text: string, type: string): Blob {
  return new Blob([text], { type })
}
