import { existsSync } from 'node:fs'
import { listUnexpectedOutput, sendRequest, startExample } from '@tenantry-examples/notes/testing'
import { expect, onTestFinished, test } from 'vitest'

const script = new URL('../src/main.ts', import.meta.url)

function start(env: Record<string, string> = {}) {
  const demo = startExample(script, { env: { MYSQL_URL: '', ...env } })
  onTestFinished(async () => void (await demo.interrupt('SIGINT')))
  return demo
}

test.each(['user', 'shared'])(
  'with isolation %s, starts a server, serves both tenants apart, and deletes everything on Ctrl-C',
  async (ISOLATION) => {
    const demo = start({ ISOLATION })
    const { port, output } = await demo.waitUntilReady()
    const folder = /server in ([^\s,]+)/.exec(output)?.[1] ?? ''
    expect(existsSync(folder)).toBe(true)
    const send = (tenant: string, path: string, json?: unknown) =>
      sendRequest(port, path, { host: `${tenant}.localhost`, json })
    const added = await send('acme', '/api/notes', { title: 'Only for acme' })
    expect(added.status).toBe(201)
    const note = `/api/notes/${JSON.parse(added.body).id}`
    expect(await send('acme', note)).toMatchObject({ status: 200 })
    expect(await send('globex', note)).toMatchObject({ status: 404 })
    expect((await send('globex', '/api/notes')).body).not.toContain('Only for acme')
    const { code, stdout } = await demo.interrupt('SIGINT')
    expect(code).toBe(0)
    expect(stdout).toContain('Stopped.')
    expect(demo.temporaryFiles()).toEqual([])
  },
)

test('Ctrl-C during the start leaves nothing behind', async () => {
  const demo = start()
  await demo.waitForTemporaryFolder()
  const { stderr } = await demo.interrupt('SIGINT')
  expect(listUnexpectedOutput(stderr)).toEqual([])
  expect(demo.temporaryFiles()).toEqual([])
})
