import { afterAll, afterEach, expect } from 'vitest'
import { startTursoEmulator, type TursoEmulator, type TursoEmulatorOptions } from '../src/index.ts'
import { createContract, openApi } from './contract.ts'

/** An answer of the Platform API. */
export interface Answer {
  readonly status: number
  readonly body: any
  readonly headers: Headers
}

/** An emulator with what tests need around it. */
export interface TestEmulator extends TursoEmulator {
  /** Calls the Platform API under `/v1/organizations/{organization}`, or from the root with a leading `/v1`. */
  call(method: string, path: string, body?: unknown, token?: string): Promise<Answer>
  /** Creates a database and mints a token for it. */
  tenant(name: string): Promise<{ name: string; hostname: string; url: string; token: string; id: string }>
  /** Runs one statement on a database's host as a client would: the HTTP status and the first result. */
  query(hostname: string, token: string | undefined, sql?: string): Promise<{ status: number; result: any }>
}

/**
 * Starts an emulator for the tests of a file and closes it after them. After each test it has no faults left,
 * let no foreign request through, and answered as the vendor's document says.
 */
export async function emulatorForTests(options: TursoEmulatorOptions = {}): Promise<TestEmulator> {
  const contract = openApi === undefined ? undefined : createContract(openApi)
  const emulator = await startTursoEmulator({ organization: 'acme', onExchange: contract?.check, ...options })
  afterEach(() => {
    emulator.faults.clear()
    const foreign = emulator.requests.filter(({ plane }) => plane === 'foreign')
    emulator.requests.length = 0
    expect(foreign).toEqual([])
    expect(contract?.violations.splice(0) ?? []).toEqual([])
  })
  afterAll(emulator.close)
  return { ...emulator, ...helpers(emulator) }
}

/** The helpers around an emulator. */
export function helpers(emulator: TursoEmulator): Pick<TestEmulator, 'call' | 'tenant' | 'query'> {
  const call: TestEmulator['call'] = async (method, path, body, token = emulator.apiToken) => {
    const base = path.startsWith('/v1')
      ? emulator.url
      : `${emulator.url}/v1/organizations/${emulator.organization}`
    const response = await emulator.fetch(`${base}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return {
      status: response.status,
      body: text === '' ? undefined : JSON.parse(text),
      headers: response.headers,
    }
  }
  return {
    call,
    tenant: async (name) => {
      const { body } = await call('POST', '/databases', { name, group: 'default' })
      const token = await call('POST', `/databases/${name}/auth/tokens`)
      const { Hostname: hostname, DbId: id } = body.database
      return { name, hostname, id, url: `libsql://${hostname}`, token: token.body.jwt }
    },
    query: async (hostname, token, sql = 'select 1 as one') => {
      const response = await emulator.fetch(`https://${hostname}/v2/pipeline`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify({ requests: [{ type: 'execute', stmt: { sql } }, { type: 'close' }] }),
      })
      const body: any = await response.json()
      return { status: response.status, result: body.results?.[0] ?? body }
    },
  }
}
