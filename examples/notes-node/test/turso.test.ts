import { startTursoEmulator } from '@tenantry/emulators'
import { tursoEmulatorFetch } from '@tenantry/emulators/client'
import { createNotesApp } from '@tenantry-examples/notes'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openDatabases } from '../src/factory.ts'

test('with an organization and a token, the tenants live on Turso', async () => {
  const emulator = await startTursoEmulator()
  onTestFinished(emulator.close)
  vi.stubGlobal('fetch', tursoEmulatorFetch(emulator.url, globalThis.fetch))
  onTestFinished(() => void vi.unstubAllGlobals())
  const { organization: TURSO_ORGANIZATION, apiToken: TURSO_API_TOKEN } = emulator

  const { factory, location, close } = openDatabases({ TURSO_ORGANIZATION, TURSO_API_TOKEN }, () =>
    expect.unreachable('Turso needs no folder'),
  )
  onTestFinished(close)
  expect(location).toBe(`the Turso organization ${TURSO_ORGANIZATION}`)
  await factory.provision('acme')
  await factory.provision('globex')

  const app = createNotesApp(factory, { baseDomain: 'localhost', authenticate: 'anyone' })
  const headers = { 'content-type': 'application/json' }
  const posted = await app.request('http://acme.localhost/api/notes', {
    method: 'POST',
    headers,
    body: '{"title":"Far away"}',
  })
  expect(posted.status).toBe(201)
  expect(await (await app.request('http://acme.localhost/')).text()).toContain('Far away')
  expect(await (await app.request('http://globex.localhost/')).text()).not.toContain('Far away')
})
