import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import path from 'node:path'
import { createTempFolder } from '@tenantry/test-support'
import {
  listUnexpectedOutput,
  type RequestOptions,
  type StartedExample,
  sendRequest,
  startExample,
} from '@tenantry-examples/notes/testing'
import { expect, onTestFinished, test } from 'vitest'

const script = new URL('../src/main.ts', import.meta.url)

/** Starts the demo with libSQL files, without this process's account variables. */
function start(env: Record<string, string> = {}): StartedExample {
  const noAccount = { TURSO_ORGANIZATION: '', TURSO_API_TOKEN: '', NOTES_DATA: '' }
  const demo = startExample(script, { env: { ...noAccount, ...env } })
  onTestFinished(async () => void (await demo.process.stop()))
  return demo
}

async function startReady(env: Record<string, string> = {}) {
  const demo = start(env)
  const { port, output } = await demo.waitUntilReady()
  const send = (host: string, target: string, options: Omit<RequestOptions, 'host'> = {}) =>
    sendRequest(port, target, { host, ...options })
  return { ...demo, port, output, send }
}

test('serves both tenants at both kinds of URL, keeps them apart, and leaves nothing behind on Ctrl-C', async () => {
  const demo = await startReady()
  expect(demo.temporaryFiles()).toHaveLength(1)

  const urls = demo.output.match(/^ +http:\/\/\S+$/gm) ?? []
  expect(urls).toHaveLength(6)
  for (const url of urls) {
    const { hostname, pathname } = new URL(url.trim())
    expect(await demo.send(hostname, pathname)).toMatchObject({ status: 200 })
  }
  expect(demo.output).toMatch(
    /200 {2}acme reads its note[\s\S]*404 {2}globex asks[\s\S]*404 {2}a forged Host/,
  )

  const json = { title: 'Only for acme' }
  const added = await demo.send('acme.localhost', '/api/notes', { json })
  expect(added.status).toBe(201)
  const { id } = JSON.parse(added.body)
  expect((await demo.send('localhost', `/t/acme/api/notes/${id}`)).status).toBe(200)
  expect((await demo.send('globex.localhost', `/api/notes/${id}`)).status).toBe(404)
  expect((await demo.send('localhost', '/t/globex/')).body).not.toContain(json.title)

  const { code, stdout } = await demo.interrupt('SIGINT')
  expect(code).toBe(0)
  expect(stdout).toContain('Stopped.')
  expect(demo.temporaryFiles()).toEqual([])
})

test('Ctrl-C during the start leaves nothing behind', async () => {
  const demo = start()
  await demo.waitForTemporaryFolder()
  const { stderr } = await demo.interrupt('SIGINT')
  expect(listUnexpectedOutput(stderr)).toEqual([])
  expect(demo.temporaryFiles()).toEqual([])
})

test('the API creates, suspends, resumes, deletes and restores a tenant, with immediate effect', async () => {
  const { send } = await startReady()
  const callApi = async (target: string, options?: Omit<RequestOptions, 'host'>) => {
    const { status, body } = await send('localhost', `/tenants${target}`, options)
    return { status, body: body === '' ? undefined : JSON.parse(body) }
  }
  const getNotes = () => send('initech.localhost', '/api/notes')
  expect((await getNotes()).status).toBe(404)

  expect(await callApi('', { json: { id: 'initech' } })).toMatchObject({
    status: 201,
    body: { state: 'active' },
  })
  expect((await send('initech.localhost', '/')).body).toContain('<h1>initech</h1>')
  expect((await send('localhost', '/t/initech/')).status).toBe(200)
  expect((await send('initech.localhost', '/api/notes', { json: { title: 'TPS report' } })).status).toBe(201)

  expect(await callApi('/initech/suspend', { json: {} })).toMatchObject({
    status: 200,
    body: { state: 'suspended' },
  })
  expect(await getNotes()).toMatchObject({ status: 503, body: expect.stringContaining('tenant_suspended') })
  expect((await send('acme.localhost', '/api/notes')).status).toBe(200)
  await callApi('/initech/resume', { json: {} })
  expect((await getNotes()).body).toContain('TPS report')

  expect(await callApi('/initech', { method: 'DELETE' })).toMatchObject({
    status: 200,
    body: { state: 'deleted' },
  })
  expect((await getNotes()).status).toBe(404)
  const landing = (await send('localhost', '/')).body
  expect(landing).toContain('data-path="/tenants/initech/undelete"')
  expect(landing).not.toContain('href="/t/initech/"')
  await callApi('/initech/undelete', { json: {} })
  expect((await getNotes()).body).toContain('TPS report')

  // The API is on the bare domain only.
  expect((await send('acme.localhost', '/tenants')).status).toBe(404)
})

test('interleaved writes stay with their tenants', async () => {
  const { send } = await startReady()
  const tenants = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 'acme' : 'globex'))
  const responses = await Promise.all(
    tenants.map((id, index) => send(`${id}.localhost`, '/api/notes', { json: { title: `${id} ${index}` } })),
  )
  expect(responses.map(({ status }) => status)).toEqual(tenants.map(() => 201))
  for (const id of ['acme', 'globex']) {
    const { body } = await send('localhost', `/t/${id}/api/notes`)
    const titles: string[] = JSON.parse(body).notes.map((note: any) => note.title)
    expect(titles.filter((title) => /^(acme|globex) \d+$/.test(title)).sort()).toEqual(
      tenants.flatMap((tenant, index) => (tenant === id ? [`${id} ${index}`] : [])).sort(),
    )
  }
})

test('stops cleanly with an open connection and when signals arrive repeatedly', async () => {
  const demo = await startReady()
  const socket = connect(demo.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  expect((await demo.interrupt('SIGTERM', 'SIGTERM', 'SIGINT')).code).toBe(0)
  expect(demo.temporaryFiles()).toEqual([])
})

test('takes the next free port when its port is taken, and says so in one sentence', async () => {
  const blocker = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void blocker.close())
  await once(blocker, 'listening')
  const { port: taken } = blocker.address() as AddressInfo
  const demo = await startReady({ PORT: String(taken) })
  expect(demo.port).not.toBe(taken)
  expect(demo.output).toContain(`Port ${taken} is taken; using ${demo.port}.`)
  expect((await demo.send('acme.localhost', '/')).status).toBe(200)
})

test.each(['abc', '-1', '65536', '1.5'])('reports PORT=%s in one sentence', async (PORT) => {
  const { code, stderr } = await start({ PORT }).process.exited
  expect(code).toBe(1)
  expect(stderr).toBe(`PORT is "${PORT}", which is not a port number from 0 to 65535.\n`)
})

test('keeps its data in the folder NOTES_DATA', async () => {
  const NOTES_DATA = path.join(createTempFolder('notes-data'), 'notes')
  const first = await startReady({ NOTES_DATA })
  expect((await first.send('acme.localhost', '/api/notes', { json: { title: 'Kept' } })).status).toBe(201)
  expect((await first.interrupt('SIGINT')).code).toBe(0)
  expect(first.temporaryFiles()).toEqual([])
  expect(existsSync(NOTES_DATA) && readdirSync(NOTES_DATA).length > 0).toBe(true)

  const second = await startReady({ NOTES_DATA })
  expect((await second.send('localhost', '/tenants/acme/suspend', { json: {} })).status).toBe(200)
  expect((await second.send('localhost', '/tenants/globex', { method: 'DELETE' })).status).toBe(200)
  expect((await second.interrupt('SIGINT')).code).toBe(0)

  const third = await startReady({ NOTES_DATA })
  expect((await third.send('acme.localhost', '/')).body).toContain('Kept')
  expect((await third.send('globex.localhost', '/')).body).toMatch(/^(?![\s\S]*Kept)[\s\S]*Hammocks/)
})
