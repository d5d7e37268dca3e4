import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ask, startDemo } from './demo.ts'

test('serves both tenants at both kinds of URL, apart, and leaves nothing behind on Ctrl-C', async () => {
  const demo = await startDemo()
  const { port } = demo
  expect(demo.leftBehind()).toHaveLength(1)

  const urls = demo.output().match(/^ +http:\/\/\S+$/gm) ?? []
  expect(urls).toHaveLength(6)
  for (const url of urls) {
    const { hostname, pathname } = new URL(url.trim())
    expect(await ask(port, hostname, pathname)).toMatchObject({ status: 200 })
  }
  expect(demo.output()).toMatch(/200 {2}acme's note[\s\S]*404 {2}the same note id[\s\S]*404 {2}a forged Host/)

  const added = await ask(port, 'acme.localhost', '/api/notes', { title: 'For acme alone' })
  expect(added.status).toBe(201)
  const { id } = JSON.parse(added.body)
  expect((await ask(port, 'localhost', `/t/acme/api/notes/${id}`)).status).toBe(200)
  expect((await ask(port, 'globex.localhost', `/api/notes/${id}`)).status).toBe(404)
  expect((await ask(port, 'localhost', '/t/globex/')).body).not.toContain('For acme alone')

  expect(await demo.stop('SIGINT')).toBe(0)
  expect(demo.output()).toContain('Stopped.')
  expect(demo.leftBehind()).toEqual([])
})

test('a tenant is created, suspended, resumed, deleted and undeleted through the API, with immediate effect', async () => {
  const { port } = await startDemo()
  const api = async (path: string, json?: unknown, method?: string) => {
    const { status, body } = await ask(port, 'localhost', `/tenants${path}`, json, method)
    return { status, body: body === '' ? undefined : JSON.parse(body) }
  }
  const notes = () => ask(port, 'initech.localhost', '/api/notes')
  expect((await notes()).status).toBe(404)

  expect(await api('', { id: 'initech' })).toMatchObject({ status: 201, body: { state: 'active' } })
  expect((await ask(port, 'initech.localhost', '/')).body).toContain('<h1>initech</h1>')
  expect((await ask(port, 'localhost', '/t/initech/')).status).toBe(200)
  expect((await ask(port, 'initech.localhost', '/api/notes', { title: 'TPS report' })).status).toBe(201)

  expect(await api('/initech/suspend', {})).toMatchObject({ status: 200, body: { state: 'suspended' } })
  expect(await notes()).toMatchObject({ status: 503, body: expect.stringContaining('tenant_suspended') })
  expect((await ask(port, 'acme.localhost', '/api/notes')).status).toBe(200)
  await api('/initech/resume', {})
  expect((await notes()).body).toContain('TPS report')

  expect(await api('/initech', undefined, 'DELETE')).toMatchObject({
    status: 200,
    body: { state: 'deleted' },
  })
  expect((await notes()).status).toBe(404)
  const landing = (await ask(port, 'localhost', '/')).body
  expect(landing).toContain('data-path="/tenants/initech/undelete"')
  expect(landing).not.toContain('href="/t/initech/"')
  await api('/initech/undelete', {})
  expect((await notes()).body).toContain('TPS report')

  // The API is the bare domain's alone, and no page of another site may use it.
  expect((await ask(port, 'acme.localhost', '/tenants')).status).toBe(404)
})

test('interleaved writes stay with their tenants', async () => {
  const { port } = await startDemo()
  const tenants = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 'acme' : 'globex'))
  const answers = await Promise.all(
    tenants.map((id, index) => ask(port, `${id}.localhost`, '/api/notes', { title: `${id} ${index}` })),
  )
  expect(answers.map(({ status }) => status)).toEqual(tenants.map(() => 201))
  for (const id of ['acme', 'globex']) {
    const { body } = await ask(port, 'localhost', `/t/${id}/api/notes`)
    const titles: string[] = JSON.parse(body).notes.map((note: any) => note.title)
    expect(titles.filter((title) => /^(acme|globex) \d+$/.test(title)).sort()).toEqual(
      tenants.flatMap((tenant, index) => (tenant === id ? [`${id} ${index}`] : [])).sort(),
    )
  }
})

test('a signal that arrives twice, and an open connection, do not spoil the stop', async () => {
  const demo = await startDemo()
  const socket = connect(demo.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  expect(await demo.stop('SIGTERM', 'SIGTERM', 'SIGINT')).toBe(0)
  expect(demo.leftBehind()).toEqual([])
})

test('takes the next free port when its own is taken, and says so', async () => {
  const blocker = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void blocker.close())
  await once(blocker, 'listening')
  const { port: taken } = blocker.address() as AddressInfo
  const demo = await startDemo({ PORT: String(taken) })
  expect(demo.output()).toContain(`Port ${taken} is taken; using ${demo.port}.`)
  expect((await ask(demo.port, 'acme.localhost', '/')).status).toBe(200)
})

test('keeps its data where NOTES_DATA says', async () => {
  const parent = mkdtempSync(path.join(tmpdir(), 'notes-data-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  const NOTES_DATA = path.join(parent, 'notes')
  const first = await startDemo({ NOTES_DATA })
  expect((await ask(first.port, 'acme.localhost', '/api/notes', { title: 'Kept' })).status).toBe(201)
  expect(await first.stop('SIGINT')).toBe(0)
  expect(first.leftBehind()).toEqual([])
  expect(existsSync(NOTES_DATA) && readdirSync(NOTES_DATA).length > 0).toBe(true)

  const second = await startDemo({ NOTES_DATA })
  expect((await ask(second.port, 'localhost', '/tenants/acme/suspend', {})).status).toBe(200)
  expect((await ask(second.port, 'localhost', '/tenants/globex', undefined, 'DELETE')).status).toBe(200)
  expect(await second.stop('SIGINT')).toBe(0)

  const third = await startDemo({ NOTES_DATA })
  expect((await ask(third.port, 'acme.localhost', '/')).body).toContain('Kept')
  expect((await ask(third.port, 'globex.localhost', '/')).body).toMatch(/^(?![\s\S]*Kept)[\s\S]*Hammocks/)
})
