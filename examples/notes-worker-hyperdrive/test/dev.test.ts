import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { json } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'

test('one command: a server, two tenants, and a Worker in wrangler dev that keeps them apart', async () => {
  const port = await freePort()
  const script = new URL('../scripts/dev.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script], {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let printed = ''
  await new Promise<void>((resolve, reject) => {
    const collect = (chunk: Buffer): void => {
      printed += chunk
      if (printed.includes('Ready on http')) resolve()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${printed}`)))
  })
  const tenants = Array.from({ length: 16 }, (_, index) => (index % 2 === 0 ? 'acme' : 'globex'))
  const added = await Promise.all(tenants.map((id, at) => ask(port, id, { title: `${id} ${at}` })))
  expect(added.map(({ status }) => status)).toEqual(tenants.map(() => 201))
  for (const id of ['acme', 'globex']) {
    const { body } = await ask(port, id)
    const titles: string[] = body.notes.map((note: { title: string }) => note.title)
    expect(titles.filter((title) => /^(acme|globex) \d+$/.test(title)).sort()).toEqual(
      tenants.flatMap((tenant, at) => (tenant === id ? [`${id} ${at}`] : [])).sort(),
    )
  }
  expect((await ask(port, 'initech')).status).toBe(404)
  const ended = once(child, 'exit')
  child.kill('SIGINT')
  expect(await ended).toEqual([0, null])
  expect(printed).toContain('Stopped.')
})

/** One request with a `Host` of our choosing. */
async function ask(port: number, tenant: string, note?: unknown): Promise<{ status: number; body: any }> {
  const headers = { host: `${tenant}.localhost:${port}`, 'content-type': 'application/json' }
  const method = note === undefined ? 'GET' : 'POST'
  const sent = request({ host: '127.0.0.1', port, path: '/api/notes', method, headers, agent: false })
  sent.end(note === undefined ? undefined : JSON.stringify(note))
  const [response] = await once(sent, 'response')
  return { status: response.statusCode, body: await json(response).catch(() => undefined) }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
