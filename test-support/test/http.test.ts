import { expect, it } from 'vitest'
import { findFreePort, sendRawRequest, startHttpServer } from '../src/index.ts'

it('serves HTTP on a free port until it is closed', async () => {
  const server = await startHttpServer((request, response) => response.end(`path ${request.url}`))
  expect(await (await fetch(`${server.url}/a`)).text()).toBe('path /a')
  expect(
    await sendRawRequest(server.port, 'GET //b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
  ).toMatch(/^HTTP\/1.1 200 OK[\s\S]*path \/\/b$/)
  await server.close()
  await expect(fetch(server.url)).rejects.toThrow()
})

it('finds a port on which a server can listen', async () => {
  expect(await findFreePort()).toBeGreaterThan(1023)
})
