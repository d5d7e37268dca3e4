import { serve, upgradeWebSocket } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { afterEach, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { createMultiTenancyMiddleware } from '../../src/request/multi-tenancy.ts'
import { createTestDatabases, type Notes } from './test-databases.ts'

const { databaseIsolation } = createTestDatabases(['acme', 'bolt'])
const tenancy = createMultiTenancyMiddleware<Notes>({
  databaseIsolation,
  accessControl: { authorize: () => true },
  resolvers: [(c) => c.req.query('tenant')],
})

let close: (() => Promise<void>) | undefined
afterEach(() => close?.())

/** A Node server of an app behind the middleware, and the environments that its requests came with. */
async function start(): Promise<{ port: number; envs: object[] }> {
  const envs: object[] = []
  const app = new Hono()
  app.use(async (c, next) => {
    envs.push(c.env as object)
    await next()
  })
  app.use(tenancy)
  app.get(
    '/socket',
    upgradeWebSocket((c) => ({
      async onMessage(event, socket) {
        socket.send(`${event.data}: ${await c.env.data.read()}`)
      },
    })),
  )
  app.get('/events', (c) =>
    streamSSE(c as never, async (stream) => {
      await stream.writeSSE({ data: await (c.env as unknown as { data: Notes }).data.read() })
    }),
  )
  app.get('/address', (c) => c.text(getConnInfo(c as never).remote.address ?? 'none'))
  return new Promise((resolve) => {
    const server = serve(
      {
        fetch: app.fetch,
        port: 0,
        hostname: '127.0.0.1',
        websocket: { server: new WebSocketServer({ noServer: true }) as never },
      },
      ({ port }) => resolve({ port, envs }),
    )
    close = () => new Promise((done) => server.close(() => done()))
  })
}

async function ask(port: number, tenant: string): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket?tenant=${tenant}`)
  return new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error(`${tenant} was refused`))
    socket.onopen = () => socket.send('hello')
    socket.onmessage = ({ data }) => {
      socket.close()
      socket.onclose = () => resolve(String(data))
    }
  })
}

test('each WebSocket on Node has the adapters of its own tenant, and no environment gets them', async () => {
  const { port, envs } = await start()
  const tenants = ['acme', 'bolt', 'acme', 'bolt']
  expect(await Promise.all(tenants.map((tenant) => ask(port, tenant)))).toEqual(
    tenants.map((tenant) => `hello: notes of ${tenant}`),
  )
  expect(envs).toHaveLength(4)
  for (const env of envs) expect(env).not.toHaveProperty('data')
  await expect(ask(port, 'unknown')).rejects.toThrow('unknown was refused')
})

test('server-sent events and getConnInfo work on Node', async () => {
  const { port } = await start()
  const url = `http://127.0.0.1:${port}`
  expect(await (await fetch(`${url}/events?tenant=bolt`)).text()).toBe('data: notes of bolt\n\n')
  expect(await (await fetch(`${url}/address?tenant=bolt`)).text()).toBe('127.0.0.1')
})

test('a server that is the environment itself, as on Bun, keeps its methods and gets no adapters', async () => {
  class Server {
    #address = '10.0.0.7'
    requestIP(): { address: string } {
      return { address: this.#address }
    }
    get port(): number {
      return this.#address.length
    }
  }
  const server = new Server()
  const app = new Hono<{ Bindings: Server }>()
  app.use(tenancy as never)
  app.get('/', (c) => c.json([c.env.requestIP().address, c.env.port]))
  expect(await (await app.request('/?tenant=acme', {}, server)).json()).toEqual(['10.0.0.7', 8])
  expect(server).not.toHaveProperty('data')
})
