import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask, type Dev, startDev } from './dev.ts'

// Each start brings up the emulator and wrangler, with a workerd each.
const timeout = 90_000

describe.each(['dispatch', 'rest'] as const)('the Worker in wrangler dev, %s', (way) => {
  let dev: Dev
  beforeAll(async () => {
    dev = await startDev(way)
  }, timeout)
  afterAll(() => dev?.[Symbol.asyncDispose](), timeout)

  test('serves every URL it printed', { timeout }, async () => {
    const urls = dev.output().match(/^ +http:\/\/\S+$/gm) ?? []
    expect(urls).toHaveLength(5)
    for (const url of urls) {
      const { hostname, pathname } = new URL(url.trim())
      expect(await ask(dev.port, hostname, pathname)).toMatchObject({ status: 200 })
    }
    expect((await ask(dev.port, 'acme.localhost', '/')).body).toContain('Acme Rockets')
  })

  test('creates a tenant while it runs, and serves it alone', { timeout }, async () => {
    const before = await ask(dev.port, 'initech.localhost', '/')
    expect(before.status).toBe(404)
    expect((await ask(dev.port, 'localhost', '/tenants/hooli', {})).status).toBe(201)
    const added = await ask(dev.port, 'hooli.localhost', '/api/notes', { title: 'For hooli alone' })
    expect(added.status).toBe(201)
    const { id } = JSON.parse(added.body)
    expect((await ask(dev.port, 'localhost', `/t/hooli/api/notes/${id}`)).status).toBe(200)
    expect((await ask(dev.port, 'acme.localhost', `/api/notes/${id}`)).status).toBe(404)
    const { body } = await ask(dev.port, 'hooli.localhost', '/api/audit')
    expect(JSON.parse(body).audit).toMatchObject([{ action: 'added note', subject: 'For hooli alone' }])
  })

  test('no secret is printed', () => {
    expect(dev.output()).not.toMatch(/Bearer|API_TOKEN|DISPATCH_SECRET/)
  })

  test('Ctrl-C stops everything and leaves nothing behind', { timeout }, async () => {
    expect(dev.leftBehind()).not.toEqual([])
    expect(await dev.stop('SIGINT')).toBe(0)
    expect(dev.output()).toContain('Stopped.')
    expect(dev.leftBehind()).toEqual([])
  })
})
