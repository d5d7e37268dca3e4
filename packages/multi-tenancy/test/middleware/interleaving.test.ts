import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import fc from 'fast-check'
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import { describe, expect, test } from 'vitest'
import { createMultiTenancyMiddleware } from '../../src/request/multi-tenancy.ts'
import type { Notes } from './test-databases.ts'

const TENANTS = Array.from({ length: 20 }, (_, n) => `tenant-${n}`)

/** Pauses a step of a request until it is the step's turn. */
type Gate = (name: string) => Promise<void>

/**
 * An app in which every step of every request can be overtaken by every other request's: the resolver,
 * authorization, opening, the handler between two reads, a stream after the answer, work after that.
 */
function interleavedApp(gate: Gate, background: Map<string, string>): Hono {
  const getAdapters = async (owner: string): Promise<Notes> => {
    await gate(`open ${owner}`)
    const read = async () => {
      await gate(`read ${owner}`)
      return owner
    }
    return { owner, read }
  }
  const app = new Hono()
  app.use(
    createMultiTenancyMiddleware({
      databaseIsolation: { getAdapters },
      resolvers: [
        async (c) => {
          await gate('resolve')
          return c.req.header('x-tenant')
        },
      ],
      accessControl: {
        authorize: async () => {
          await gate('authorize')
          return true
        },
      },
    }),
  )
  app.get('/json', async (c) => {
    const first = await (c.env as { data: Notes }).data.read()
    await gate('handle')
    const { data } = c.env as { data: Notes }
    const id = c.get('tenant_id' as never)
    const tenant = c.get('tenant' as never) as { id: string }
    c.executionCtx.waitUntil(
      (async () => {
        await gate('background')
        background.set(c.req.header('x-request') ?? '', await (c.env as { data: Notes }).data.read())
      })(),
    )
    return c.json([first, await data.read(), id, tenant.id])
  })
  app.get('/stream', (c) =>
    stream(c, async (out) => {
      for (let n = 0; n < 3; n++) await out.write(`${await (c.env as { data: Notes }).data.read()} `)
    }),
  )
  return app
}

interface Sent {
  readonly tenant: string
  readonly path: string
}
const requests: Sent[] = Array.from({ length: 200 }, (_, n) => ({
  tenant: TENANTS[(n * 7) % TENANTS.length] as string,
  path: n % 4 === 0 ? '/stream' : '/json',
}))

describe.each([
  ['frozen', () => Object.freeze({ SECRET: 1 })],
  ['open', () => ({ SECRET: 1 })],
])('200 requests of 20 tenants that share one %s env', (_, makeEnv) => {
  test('each read their own tenant, in any order of their steps', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const env = makeEnv()
        const background = new Map<string, string>()
        const deferred: Promise<unknown>[] = []
        const executionCtx = {
          waitUntil: (work: Promise<unknown>) => deferred.push(work),
          passThroughOnException() {},
        }
        const app = interleavedApp((name) => scheduler.schedule(Promise.resolve(), name), background)

        const send = async ({ tenant, path }: Sent, n: number) => {
          const headers = { 'x-tenant': tenant, 'x-request': String(n) }
          const response = await app.request(path, { headers }, env, executionCtx as never)
          return response.text()
        }
        const answers = await scheduler.waitFor(
          (async () => {
            const texts = await Promise.all(requests.map(send))
            await Promise.all(deferred)
            return texts
          })(),
        )

        requests.forEach(({ tenant, path }, n) => {
          const expected = path === '/stream' ? `${tenant} `.repeat(3) : JSON.stringify(Array(4).fill(tenant))
          expect(answers[n]).toBe(expected)
          if (path === '/json') expect(background.get(String(n))).toBe(tenant)
        })
        expect(env).toEqual({ SECRET: 1 })
      }),
      { numRuns: 5 },
    )
  })
})

test("requests over HTTP that share the server's env read their own tenant", async () => {
  const waiting: (() => void)[] = []
  // No request reads until every request has its adapters; then the last request reads first.
  const everyoneReads: Gate = (name) =>
    name.startsWith('read') && waiting.length < TENANTS.length
      ? new Promise((resolve) => {
          waiting.push(resolve)
          if (waiting.length === TENANTS.length) for (const go of waiting.toReversed()) go()
        })
      : Promise.resolve()
  const app = interleavedApp(everyoneReads, new Map())
  const shared = { SECRET: 1 }
  const server = createAdaptorServer({ fetch: (request) => app.fetch(request, shared) })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = server.address() as AddressInfo
    const texts = TENANTS.map(async (tenant) => {
      const headers = { 'x-tenant': tenant, connection: 'close' }
      return (await fetch(`http://127.0.0.1:${port}/stream`, { headers })).text()
    })
    expect(await Promise.all(texts)).toEqual(TENANTS.map((tenant) => `${tenant} `.repeat(3)))
    expect(shared).toEqual({ SECRET: 1 })
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
})
