import { afterAll, afterEach, expect } from 'vitest'
import {
  type CloudflareEmulator,
  type CloudflareEmulatorOptions,
  startCloudflareEmulator,
} from '../../src/index.ts'
import { createContract, openApi } from './contract.ts'

/** An answer of the API. */
export interface Answer {
  readonly status: number
  readonly body: any
  readonly headers: Headers
}

/** An emulator with what tests need around it. */
export interface TestEmulator extends CloudflareEmulator {
  /** Calls the API below the account. */
  call(method: string, path: string, body?: unknown, token?: string): Promise<Answer>
  /** Creates a database: its uuid. */
  make(name: string): Promise<string>
  /** Runs SQL through `query`. */
  query(uuid: string, sql: string, params?: unknown[]): Promise<Answer>
  /** Uploads a script of one module. */
  upload(script: string, code: string, metadata?: object): Promise<Answer>
}

/**
 * Starts an emulator for the tests of a file and closes it after them. After each test it has no faults left, let no
 * foreign request through, and answered as the vendor's document says.
 */
export async function emulatorForTests(options: CloudflareEmulatorOptions = {}): Promise<TestEmulator> {
  const contract = openApi === undefined ? undefined : createContract(openApi)
  const emulator = await startCloudflareEmulator({
    ...{ dispatchNamespaces: ['prod'], onExchange: contract?.check },
    ...options,
  })
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
export function helpers(emulator: CloudflareEmulator): Omit<TestEmulator, keyof CloudflareEmulator> {
  const call: TestEmulator['call'] = async (method, path, body, token = emulator.apiToken) => {
    const response = await emulator.fetch(`${emulator.baseUrl}/accounts/${emulator.accountId}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: body instanceof FormData ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const { status, headers } = response
    return {
      status,
      headers,
      body: headers.get('content-type') === 'application/json' ? JSON.parse(text) : text,
    }
  }
  return {
    call,
    make: async (name) => (await call('POST', '/d1/database', { name })).body.result.uuid,
    query: (uuid, sql, params) =>
      call('POST', `/d1/database/${uuid}/query`, { sql, ...(params && { params }) }),
    upload: (script, code, metadata = {}) =>
      call('PUT', `/workers/dispatch/namespaces/prod/scripts/${script}`, scriptForm(code, metadata)),
  }
}

/** The body of an upload: one JSON part and one module. */
export function scriptForm(code: string, metadata: object): FormData {
  const form = new FormData()
  const all = { main_module: 'worker.mjs', compatibility_date: '2026-04-01', ...metadata }
  form.append('metadata', new Blob([JSON.stringify(all)], { type: 'application/json' }), 'metadata.json')
  form.append('worker.mjs', new Blob([code], { type: 'application/javascript+module' }), 'worker.mjs')
  return form
}

/** The first code of a refusal. */
export function readCode({ body }: Answer): number | undefined {
  return body.errors?.[0]?.code
}
