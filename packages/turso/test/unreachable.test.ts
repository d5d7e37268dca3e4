import { captureError, findFreePort } from '@tenantry/test-support'
import { expect, it } from 'vitest'
import { createTursoFactory, createTursoProvider } from '../src/index.ts'
import { call, startAccount } from './support.ts'

const account = { organizationName: 'acme-inc', apiToken: 'platform-token' }

/** The codes in an error and its causes. */
function getCodes(error: unknown): unknown[] {
  const codes: unknown[] = []
  for (let current = error; current instanceof Error; current = current.cause) {
    codes.push((current as { code?: unknown }).code)
  }
  return codes
}

it.each([
  [
    'refuses connections',
    async (): Promise<string> => `http://127.0.0.1:${await findFreePort()}`,
    /\bECONNREFUSED$/,
  ],
  ['has no address', async (): Promise<string> => 'https://api.turso.invalid', /\b(?:ENOTFOUND|EAI_AGAIN)$/],
] as const)('names the network code when the platform %s', async (_, createUrl, code) => {
  const provider = createTursoProvider({ ...account, baseUrl: await createUrl() })
  const error = await captureError(provider.find('tenant-x', call))
  expect(error.code).toBe('provider_unavailable')
  expect(error.message).toMatch(
    /The Turso Platform API cannot be reached \((?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN)\)$/,
  )
  // The core stops its retries early by this code.
  expect(getCodes(error).join()).toMatch(code)
})

it('reports a rejected platform token after a single request', async () => {
  const { turso, fetch, clock } = await startAccount()
  const factory = createTursoFactory({
    ...account,
    organizationName: turso.organization,
    fetch,
    environment: clock,
  })
  const requests = turso.requests.length
  const error = await captureError(factory.provision('acme'))
  expect(error).toMatchObject({ code: 'credentials_rejected', tenantId: 'acme' })
  expect(turso.requests).toHaveLength(requests + 1)
  await turso.close()
})
