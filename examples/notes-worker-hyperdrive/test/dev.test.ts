import { listUnexpectedOutput, sendRequest, startExample } from '@tenantry-examples/notes/testing'
import { expect, onTestFinished, test } from 'vitest'

const script = new URL('../scripts/dev.ts', import.meta.url)

function start() {
  const example = startExample(script)
  onTestFinished(async () => void (await example.interrupt('SIGINT')))
  return example
}

test('one command starts a server, two tenants and a Worker that keeps them apart', async () => {
  const example = start()
  const { port } = await example.waitUntilReady()
  const send = (tenant: string, json?: unknown) =>
    sendRequest(port, '/api/notes', { host: `${tenant}.localhost`, json })
  const tenants = Array.from({ length: 16 }, (_, index) => (index % 2 === 0 ? 'acme' : 'globex'))
  const added = await Promise.all(tenants.map((id, index) => send(id, { title: `${id} ${index}` })))
  expect(added.map(({ status }) => status)).toEqual(tenants.map(() => 201))
  for (const id of ['acme', 'globex']) {
    const { body } = await send(id)
    const titles: string[] = JSON.parse(body).notes.map((note: { title: string }) => note.title)
    expect(titles.filter((title) => /^(acme|globex) \d+$/.test(title)).sort()).toEqual(
      tenants.flatMap((tenant, index) => (tenant === id ? [`${id} ${index}`] : [])).sort(),
    )
  }
  expect((await send('initech')).status).toBe(404)
  const { code, stdout } = await example.interrupt('SIGINT')
  expect(code).toBe(0)
  expect(stdout).toContain('Stopped.')
  expect(example.temporaryFiles()).toEqual([])
})

test('Ctrl-C during the start leaves nothing behind', async () => {
  const example = start()
  await example.waitForTemporaryFolder()
  const { stderr } = await example.interrupt('SIGINT')
  expect(listUnexpectedOutput(stderr)).toEqual([])
  expect(example.temporaryFiles()).toEqual([])
})
