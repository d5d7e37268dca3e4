import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask, type Dev, startDev } from './dev.ts'

// Each start brings up the emulator with its libSQL server, then wrangler with workerd.
const timeout = 60_000

describe('the Worker in wrangler dev', () => {
  let dev: Dev
  beforeAll(async () => {
    dev = await startDev()
  }, timeout)
  afterAll(() => dev[Symbol.asyncDispose](), timeout)

  test('serves every URL it printed', async () => {
    const urls = dev.output().match(/^ +http:\/\/\S+$/gm) ?? []
    expect(urls).toHaveLength(5)
    for (const url of urls) {
      const { hostname, pathname } = new URL(url.trim())
      expect(await ask(dev.port, hostname, pathname)).toMatchObject({ status: 200 })
    }
  })

  test('interleaved requests of one isolate stay with their tenants', async () => {
    const tenants = Array.from({ length: 24 }, (_, index) => (index % 3 === 0 ? 'globex' : 'acme'))
    const answers = await Promise.all(
      tenants.map((id, index) => ask(dev.port, `${id}.localhost`, '/api/notes', { title: `${id} ${index}` })),
    )
    expect(answers.map(({ status }) => status)).toEqual(tenants.map(() => 201))
    const reads = await Promise.all(tenants.map((id) => ask(dev.port, 'localhost', `/t/${id}/api/notes`)))
    for (const [index, id] of tenants.entries()) {
      const titles: string[] = JSON.parse(reads[index]?.body ?? '').notes.map((note: any) => note.title)
      expect(titles.filter((title) => /^(acme|globex) \d+$/.test(title)).sort()).toEqual(
        tenants.flatMap((tenant, at) => (tenant === id ? [`${id} ${at}`] : [])).sort(),
      )
    }
  })

  test("a tenant's note is not there for another tenant", async () => {
    const added = await ask(dev.port, 'acme.localhost', '/api/notes', { title: 'For acme alone' })
    const { id } = JSON.parse(added.body)
    expect((await ask(dev.port, 'localhost', `/t/acme/api/notes/${id}`)).status).toBe(200)
    expect((await ask(dev.port, 'globex.localhost', `/api/notes/${id}`)).status).toBe(404)
    expect((await ask(dev.port, 'localhost', '/t/globex/')).body).not.toContain('For acme alone')
  })

  test.each([
    ['initech.localhost', '/', 404],
    ['localhost', '/t/initech/', 404],
    ['acme.localhost.evil.example', '/', 404],
    ['acme.localhost', '/t/globex/', 400],
  ])('%s%s is %i', async (host, target, status) => {
    expect((await ask(dev.port, host, target)).status).toBe(status)
  })

  test('no secret is printed', () => {
    expect(dev.output()).not.toMatch(/eyJ/)
  })
})

test(
  'Ctrl-C stops everything and leaves nothing behind, even when it arrives twice',
  async () => {
    await using dev = await startDev()
    expect((await ask(dev.port, 'acme.localhost', '/')).body).toContain('Acme Rockets')
    expect(dev.leftBehind()).not.toEqual([])
    expect(await dev.stop('SIGINT', 'SIGTERM', 'SIGINT')).toBe(0)
    expect(dev.output()).toContain('Stopped.')
    expect(dev.leftBehind()).toEqual([])
    await expect(ask(dev.port, 'acme.localhost', '/')).rejects.toThrow('ECONNREFUSED')
  },
  timeout,
)
