import { randomUUID } from 'node:crypto'
import { createRedactor, TenancyError } from '@tenantry/multi-tenancy'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { DATA_WORKER } from '../src/access/data-worker.ts'
import { createDispatchRung, deriveKey } from '../src/access/dispatch.ts'
import { guardDatabase } from '../src/database/guard.ts'
import { createErrorMap } from '../src/errors.ts'
import type { D1Database } from '../src/index.ts'

/** The ways to databases, each to a new one: `binding` is workerd's own and what the others are compared with. */
export interface Ladder {
  open(): Record<'binding' | 'guarded' | 'dispatch', () => Promise<D1Database>>
  stop(): Promise<void>
}

const SECRET = 'a secret of the whole app, long enough'
const DATABASES = 150
const MAIN = `import worker from './worker.mjs'
export default {
  fetch(request, env) {
    const [, at, DATABASE_ID, KEY] = new URL(request.url).pathname.split('/')
    return worker.fetch(request, { DB: env['DB' + at], DATABASE_ID, KEY })
  },
}`

export async function startLadder(): Promise<Ladder> {
  const names = Array.from({ length: DATABASES }, (_, at) => `DB${at}`)
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: [
        { type: 'ESModule', path: 'main.mjs', contents: MAIN },
        { type: 'ESModule', path: 'worker.mjs', contents: DATA_WORKER },
      ],
      compatibilityDate: '2026-04-01',
      d1Databases: Object.fromEntries(names.map((name) => [name, name])),
    }),
  )
  const { mapError, surface } = createErrorMap(createRedactor())
  let used = 0
  const binding = async (): Promise<D1Database> => {
    if (used >= DATABASES) throw new Error('The ladder has no database left')
    return (await miniflare.getD1Database(`DB${used++}`)) as unknown as D1Database
  }
  const guarded = (database: D1Database): D1Database =>
    guardDatabase(database, (work) =>
      work().catch((error: unknown) => {
        throw surface(error)
      }),
    )

  async function dispatch(): Promise<D1Database> {
    const at = used++
    const uuid = randomUUID()
    const key = await deriveKey(SECRET, uuid)
    const dispatcher = {
      get: () => ({
        fetch: async (input: string, init?: RequestInit) =>
          (await miniflare.dispatchFetch(
            `${input}${at}/${uuid}/${key}`,
            init as never,
          )) as unknown as Response,
      }),
    }
    const unused = (): never => {
      throw mapError(new TenancyError('internal', 'Not asked for here'))
    }
    const rung = createDispatchRung(
      { kind: 'dispatch', namespace: 'tenants', secret: SECRET, dispatcher },
      { api: { call: unused }, rest: unused, redactor: createRedactor(), requestTimeout: 10_000 },
    )
    return guarded((await rung.open({ name: 'tenant', uuid }, false)) as D1Database)
  }

  return {
    open: () => ({ binding, guarded: async () => guarded(await binding()), dispatch }),
    stop: () => miniflare.dispose(),
  }
}
