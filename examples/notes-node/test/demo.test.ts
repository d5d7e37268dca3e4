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
  expect(urls).toHaveLength(5)
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
  expect((await ask(second.port, 'acme.localhost', '/')).body).toContain('Kept')
  expect((await ask(second.port, 'globex.localhost', '/')).body).not.toContain('Kept')
})
