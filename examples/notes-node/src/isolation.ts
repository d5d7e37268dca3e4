import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { json as readJson } from 'node:stream/consumers'

/**
 * Sends real requests that try to read another tenant's note, and prints the status of each response.
 *
 * @throws when a response has another status than expected
 */
export async function showIsolation(port: number): Promise<void> {
  const { id, title } = await getFirstNote(port)
  const note = `/api/notes/${id}`
  const attempts = [
    { text: `acme reads its note "${title}"`, host: 'acme.localhost', path: note, expected: 200 },
    { text: 'globex asks for the same note id', host: 'globex.localhost', path: note, expected: 404 },
    { text: 'globex asks for it by path', host: 'localhost', path: `/t/globex${note}`, expected: 404 },
    { text: 'a tenant that does not exist', host: 'initech.localhost', path: note, expected: 404 },
    { text: 'a forged Host header', host: 'acme.localhost.evil.example', path: note, expected: 404 },
    {
      text: "globex's host with acme's path",
      host: 'globex.localhost',
      path: `/t/acme${note}`,
      expected: 400,
    },
  ]
  for (const { text, host, path, expected } of attempts) {
    const { status, body } = await send(port, host, path)
    if (status !== expected || (status !== 200 && 'id' in body)) {
      throw new Error(`${text}: the status should be ${expected}, but is ${status}`)
    }
    console.log(`  ${status}  ${text}`)
  }
}

async function getFirstNote(port: number): Promise<{ id: string; title: string }> {
  const path = '/t/acme/api/notes'
  const { body } = await send(port, 'localhost', path)
  return body.notes[0] ?? (await send(port, 'localhost', path, { title: 'Launch window' })).body
}

/** Sends a request with any Host header, which `fetch` does not allow. */
async function send(
  port: number,
  host: string,
  path: string,
  json?: unknown,
): Promise<{ readonly status: number; readonly body: any }> {
  const headers = { host: `${host}:${port}`, 'content-type': 'application/json' }
  const method = json === undefined ? 'GET' : 'POST'
  const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false })
  sent.end(json === undefined ? undefined : JSON.stringify(json))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: await readJson(response) }
}
