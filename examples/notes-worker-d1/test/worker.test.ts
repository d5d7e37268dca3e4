import {
  listUnexpectedOutput,
  type RequestOptions,
  type StartedExample,
  sendRequest,
  startExample,
} from '@tenantry-examples/notes/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const script = new URL('../scripts/dev.ts', import.meta.url)
/** Milliseconds for a start of the emulator and of wrangler, with a workerd each. */
const timeout = 90_000

describe.each(['dispatch', 'rest'] as const)('the Worker in wrangler dev, with access by %s', (access) => {
  let example: StartedExample
  let port: number
  let output: string
  beforeAll(async () => {
    example = startExample(script, { args: [access] })
    const ready = await example.waitUntilReady()
    port = ready.port
    output = ready.output
  }, timeout)
  afterAll(() => example.interrupt('SIGINT'), timeout)

  const send = (host: string, path: string, options: Omit<RequestOptions, 'host'> = {}) =>
    sendRequest(port, path, { host, ...options })

  test('serves every URL that it printed', { timeout }, async () => {
    const urls = output.match(/^ +http:\/\/\S+$/gm) ?? []
    expect(urls).toHaveLength(5)
    for (const url of urls) {
      const { hostname, pathname } = new URL(url.trim())
      expect(await send(hostname, pathname)).toMatchObject({ status: 200 })
    }
    expect((await send('acme.localhost', '/')).body).toContain('Acme Rockets')
  })

  test('creates a tenant while it runs, and serves it apart from the others', { timeout }, async () => {
    expect((await send('initech.localhost', '/')).status).toBe(404)
    expect((await send('localhost', '/tenants/hooli', { json: {} })).status).toBe(201)
    const added = await send('hooli.localhost', '/api/notes', { json: { title: 'Only for hooli' } })
    expect(added.status).toBe(201)
    const { id } = JSON.parse(added.body)
    expect((await send('localhost', `/t/hooli/api/notes/${id}`)).status).toBe(200)
    expect((await send('acme.localhost', `/api/notes/${id}`)).status).toBe(404)
    const { body } = await send('hooli.localhost', '/api/audit')
    expect(JSON.parse(body).audit).toMatchObject([{ action: 'added note', subject: 'Only for hooli' }])
  })

  test('prints no secret', () => {
    expect(output).not.toMatch(/Bearer|API_TOKEN|DISPATCH_SECRET/)
  })

  test('stops everything on Ctrl-C and leaves nothing behind', { timeout }, async () => {
    expect(example.temporaryFiles()).not.toEqual([])
    const { code, stdout } = await example.interrupt('SIGINT')
    expect(code).toBe(0)
    expect(stdout).toContain('Stopped.')
    expect(example.temporaryFiles()).toEqual([])
  })
})

test('Ctrl-C during the start leaves nothing behind', { timeout }, async () => {
  const example = startExample(script)
  await example.waitForTemporaryFolder()
  const { stderr } = await example.interrupt('SIGINT')
  expect(listUnexpectedOutput(stderr)).toEqual([])
  expect(example.temporaryFiles()).toEqual([])
})
