import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'

const main = new URL('../src/main.ts', import.meta.url).pathname

test.each(['user', 'shared'])(
  '%s: brings its own server, serves both tenants apart, and takes it all away',
  async (ISOLATION) => {
    const { MYSQL_URL: _, ...inherited } = process.env
    const child = spawn(process.execPath, [main], {
      env: { ...inherited, PORT: '0', ISOLATION },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let printed = ''
    await new Promise<void>((resolve, reject) => {
      const collect = (chunk: Buffer): void => {
        printed += chunk
        if (printed.includes('Ready.')) resolve()
      }
      child.stdout.on('data', collect)
      child.stderr.on('data', collect)
      child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${printed}`)))
    })
    const port = Number(/localhost:(\d+)\//.exec(printed)?.[1])
    const folder = /server in (\S+)/.exec(printed)?.[1] ?? ''
    expect(existsSync(folder)).toBe(true)
    const added = await ask(port, 'acme', '/api/notes', { title: 'For acme alone' })
    expect(added.status).toBe(201)
    expect(await ask(port, 'acme', `/api/notes/${added.body.id}`)).toMatchObject({ status: 200 })
    expect(await ask(port, 'globex', `/api/notes/${added.body.id}`)).toMatchObject({ status: 404 })
    expect(JSON.stringify((await ask(port, 'globex', '/api/notes')).body)).not.toContain('For acme alone')
    const ended = once(child, 'exit')
    child.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    expect(printed).toContain('Stopped.')
    expect(existsSync(folder)).toBe(false)
  },
)

/** One request with a `Host` of our choosing. */
async function ask(
  port: number,
  tenant: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: any }> {
  const headers = { host: `${tenant}.localhost:${port}`, 'content-type': 'application/json' }
  const sent = request({
    host: '127.0.0.1',
    port,
    path,
    method: body === undefined ? 'GET' : 'POST',
    headers,
    agent: false,
  })
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  const [response] = await once(sent, 'response')
  return { status: response.statusCode, body: await json(response) }
}
