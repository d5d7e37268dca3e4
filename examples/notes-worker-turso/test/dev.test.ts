import {
  listUnexpectedOutput,
  type RequestOptions,
  type StartedExample,
  sendRequest,
  startExample,
} from '@tenantry-examples/notes/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const script = new URL('../scripts/dev.ts', import.meta.url)
/** Milliseconds for a start of the emulator with its libSQL server, and of wrangler with workerd. */
const timeout = 60_000

describe('the Worker in wrangler dev', () => {
  let example: StartedExample
  let port: number
  let output: string
  beforeAll(async () => {
    example = startExample(script)
    const ready = await example.waitUntilReady()
    port = ready.port
    output = ready.output
  }, timeout)
  afterAll(() => example.interrupt('SIGINT'), timeout)

  const send = (host: string, path: string, options: Omit<RequestOptions, 'host'> = {}) =>
    sendRequest(port, path, { host, ...options })

  test('serves every URL that it printed', async () => {
    const urls = output.match(/^ +http:\/\/\S+$/gm) ?? []
    expect(urls).toHaveLength(5)
    for (const url of urls) {
      const { hostname, pathname } = new URL(url.trim())
      expect(await send(hostname, pathname)).toMatchObject({ status: 200 })
    }
  })

  test('keeps interleaved requests in one isolate with their tenants', async () => {
    const tenants = Array.from({ length: 24 }, (_, index) => (index % 3 === 0 ? 'globex' : 'acme'))
    const responses = await Promise.all(
      tenants.map((id, index) =>
        send(`${id}.localhost`, '/api/notes', { json: { title: `${id} ${index}` } }),
      ),
    )
    expect(responses.map(({ status }) => status)).toEqual(tenants.map(() => 201))
    const reads = await Promise.all(tenants.map((id) => send('localhost', `/t/${id}/api/notes`)))
    for (const [index, id] of tenants.entries()) {
      const titles: string[] = JSON.parse(reads[index]?.body ?? '').notes.map((note: any) => note.title)
      expect(titles.filter((title) => /^(acme|globex) \d+$/.test(title)).sort()).toEqual(
        tenants.flatMap((tenant, number) => (tenant === id ? [`${id} ${number}`] : [])).sort(),
      )
    }
  })

  test("answers 404 to another tenant's request for a note", async () => {
    const json = { title: 'Only for acme' }
    const added = await send('acme.localhost', '/api/notes', { json })
    const { id } = JSON.parse(added.body)
    expect((await send('localhost', `/t/acme/api/notes/${id}`)).status).toBe(200)
    expect((await send('globex.localhost', `/api/notes/${id}`)).status).toBe(404)
    expect((await send('localhost', '/t/globex/')).body).not.toContain(json.title)
  })

  test.each([
    ['initech.localhost', '/', 404],
    ['localhost', '/t/initech/', 404],
    ['acme.localhost.evil.example', '/', 404],
    ['acme.localhost', '/t/globex/', 400],
  ])('answers %s%s with %i', async (host, path, status) => {
    expect((await send(host, path)).status).toBe(status)
  })

  test('prints no secret', () => {
    expect(output).not.toMatch(/eyJ/)
  })
})

test('Ctrl-C stops everything and leaves nothing behind, even when it arrives twice', {
  timeout,
}, async () => {
  const example = startExample(script)
  const { port } = await example.waitUntilReady()
  expect((await sendRequest(port, '/', { host: 'acme.localhost' })).body).toContain('Acme Rockets')
  expect(example.temporaryFiles()).not.toEqual([])
  const { code, stdout } = await example.interrupt('SIGINT', 'SIGTERM', 'SIGINT')
  expect(code).toBe(0)
  expect(stdout).toContain('Stopped.')
  expect(example.temporaryFiles()).toEqual([])
  await expect(sendRequest(port, '/', { host: 'acme.localhost' })).rejects.toThrow('ECONNREFUSED')
})

test('Ctrl-C during the start leaves nothing behind', { timeout }, async () => {
  const example = startExample(script)
  await example.waitForTemporaryFolder()
  const { stderr } = await example.interrupt('SIGINT')
  expect(listUnexpectedOutput(stderr)).toEqual([])
  expect(example.temporaryFiles()).toEqual([])
})
