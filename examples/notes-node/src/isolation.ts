import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { json as readJson } from 'node:stream/consumers'

interface Answer {
  readonly status: number
  readonly body: any
}

/** Real requests that try to cross from one tenant to the other. @throws when one of them gets anything */
export async function showIsolation(port: number): Promise<void> {
  const notes = '/t/acme/api/notes'
  const { body } = await ask(port, 'localhost', notes)
  const note = body.notes[0] ?? (await ask(port, 'localhost', notes, { title: 'Launch window' })).body
  const path = `/api/notes/${note.id}`
  const attempts = [
    { what: `acme's note "${note.title}", asked of acme`, host: 'acme.localhost', path, expected: 200 },
    { what: 'the same note id, asked of globex', host: 'globex.localhost', path, expected: 404 },
    { what: 'the same, by path', host: 'localhost', path: `/t/globex${path}`, expected: 404 },
    { what: 'a tenant that does not exist', host: 'initech.localhost', path, expected: 404 },
    {
      what: 'a forged Host, acme.localhost.evil.example',
      host: 'acme.localhost.evil.example',
      path,
      expected: 404,
    },
    {
      what: "globex's host with acme's path",
      host: 'globex.localhost',
      path: `/t/acme${path}`,
      expected: 400,
    },
  ]
  for (const { what, host, path, expected } of attempts) {
    const { status, body } = await ask(port, host, path)
    if (status !== expected || (status !== 200 && 'id' in body)) {
      throw new Error(`${what}: expected ${expected}, got ${status}`)
    }
    console.log(`  ${status}  ${what}`)
  }
}

/** `fetch` would not send a Host of our choosing. */
async function ask(port: number, host: string, path: string, json?: unknown): Promise<Answer> {
  const headers = { host: `${host}:${port}`, 'content-type': 'application/json' }
  const method = json === undefined ? 'GET' : 'POST'
  const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false })
  sent.end(json === undefined ? undefined : JSON.stringify(json))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: await readJson(response) }
}
