import { randomUUID } from 'node:crypto'
import { invalidProperty, sqlError, success } from './envelope.ts'
import { presentMeta } from './present.ts'
import type { DatabaseRecord } from './records.ts'
import { type ApiOptions, findDatabase, type Route } from './route.ts'
import { splitStatements } from './statements.ts'
import type { WireMeta } from './worker/wire.ts'

/** Exports and imports under way. */
export interface Transfers {
  /** @throws ApiError 400 with 7500 while the database is exported */
  checkIdle(uuid: string): void
  readonly routes: Readonly<Record<'databases.export' | 'databases.import', Route>>
}

interface Export {
  readonly bookmark: string
  readonly address: string
  readonly filename: string
  /** Milliseconds since the epoch: an export that is not polled until then is cancelled. */
  readonly cancelledAt: number
}

/** How long an export waits for the next poll. The service does not document its own limit. */
const POLL_TIMEOUT_MS = 60_000

/** Exports and imports of one emulator. */
export function createTransfers(options: ApiOptions): Transfers {
  const exports = createExports(options)
  return {
    checkIdle: exports.checkIdle,
    routes: {
      'databases.export': exports.route,
      'databases.import': createImportRoute(options, exports.checkIdle),
    },
  }
}

function createExports({ records, storage, files, now }: ApiOptions): {
  checkIdle(uuid: string): void
  route: Route
} {
  const exports = new Map<string, Export>()

  const findActive = (uuid: string): Export | undefined => {
    const running = exports.get(uuid)
    if (running !== undefined && running.cancelledAt > now()) return running
    exports.delete(uuid)
    return undefined
  }

  const begin = async ({ uuid, name }: DatabaseRecord, input: Readonly<Record<string, unknown>>) => {
    const { no_schema, no_data, tables } = (input.dump_options ?? {}) as Record<string, unknown>
    const wanted = Array.isArray(tables) ? tables.map(String) : []
    const dump = await storage.dump(uuid, {
      noSchema: no_schema === true,
      noData: no_data === true,
      tables: wanted,
    })
    const bookmark = await readBookmark(storage, uuid)
    if (!dump.ok) {
      const failed = { success: false, type: 'export', status: 'error', error: dump.error, messages: [] }
      return success({ ...failed, at_bookmark: bookmark })
    }
    const filename = `${name}-${randomUUID()}.sql`
    const address = files.download(dump.text)
    exports.set(uuid, { bookmark, filename, address, cancelledAt: now() + POLL_TIMEOUT_MS })
    const messages = [`Generating ${filename}`]
    const result = { success: true, type: 'export', status: 'active', at_bookmark: bookmark, messages }
    return success(result, { status: 202 })
  }

  return {
    checkIdle: (uuid) => {
      if (findActive(uuid) !== undefined) throw sqlError('Currently processing a long-running export.')
    },
    route: async (call, input) => {
      const record = findDatabase(records, call)
      if (input.output_format !== 'polling') throw invalidProperty('output_format', 'Expected "polling"')
      const running = findActive(record.uuid)
      if (running === undefined || input.current_bookmark !== running.bookmark)
        return await begin(record, input)
      exports.delete(record.uuid)
      const { bookmark, filename, address } = running
      const done = { success: true, type: 'export', status: 'complete', at_bookmark: bookmark, messages: [] }
      return success({ ...done, result: { filename, signed_url: address } })
    },
  }
}

function createImportRoute(
  { records, storage, files }: ApiOptions,
  checkIdle: (uuid: string) => void,
): Route {
  const imports = new Map<string, Record<string, unknown>>()

  const ingest = async ({ uuid, region }: DatabaseRecord, sql: string) => {
    const before = await readBookmark(storage, uuid)
    const statements = splitStatements(sql).map((text) => ({ sql: text }))
    const run = await storage.run(uuid, statements)
    if (!run.ok) {
      const failed = { success: false, type: 'import', status: 'error', error: run.error, messages: [] }
      return success({ ...failed, at_bookmark: before })
    }
    const result = {
      num_queries: statements.length,
      final_bookmark: run.bookmark,
      meta: presentMeta(total(run.results.map(({ meta }) => meta)), region),
    }
    const messages = [`Processed ${statements.length} queries.`]
    const done = { success: true, type: 'import', at_bookmark: before, messages }
    imports.set(uuid, { ...done, status: 'complete', result })
    return success({ ...done, status: 'active' }, { status: 202 })
  }

  return async (call, input) => {
    const record = findDatabase(records, call)
    const { action, etag, filename } = input
    if (action === 'poll') {
      const done = imports.get(record.uuid)
      imports.delete(record.uuid)
      const idle = { success: false, type: 'import', status: 'error', messages: [] }
      return success(done ?? { ...idle, error: 'Not currently importing anything.' })
    }
    if (action !== 'init' && action !== 'ingest') throw invalidProperty('action', 'Invalid input')
    if (typeof etag !== 'string' || !/^[0-9a-f]{32}$/.test(etag)) throw invalidProperty('etag', 'Invalid MD5')
    const name = `${record.uuid}.${etag}.sql`
    if (action === 'ingest' && filename !== name) throw invalidProperty('filename', 'No such upload')
    checkIdle(record.uuid)
    const sql = files.read(name, etag)
    if (sql !== undefined) return await ingest(record, sql)
    if (action === 'ingest') throw invalidProperty('etag', 'The upload does not match')
    return success({ success: true, filename: name, upload_url: files.upload(name) })
  }
}

async function readBookmark(storage: ApiOptions['storage'], uuid: string): Promise<string> {
  const travel = await storage.bookmark(uuid, {})
  if (!travel.ok) throw sqlError(travel.error)
  return travel.bookmark
}

function total(metas: readonly WireMeta[]): WireMeta {
  const sum = (key: 'duration' | 'changes' | 'rows_read' | 'rows_written'): number =>
    metas.reduce((all, meta) => all + meta[key], 0)
  const last = metas.at(-1)
  return {
    ...{ duration: sum('duration'), changes: sum('changes'), rows_read: sum('rows_read') },
    ...{ rows_written: sum('rows_written'), last_row_id: last?.last_row_id ?? 0 },
    ...{ changed_db: metas.some(({ changed_db }) => changed_db), size_after: last?.size_after ?? 0 },
  }
}
