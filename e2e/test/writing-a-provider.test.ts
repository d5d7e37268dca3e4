import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { testProvider } from '@tenantry/conformance'
import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { afterAll } from 'vitest'
import { startCabinet } from '../src/cabinet-service.ts'
import { root } from '../src/snippets/documents.ts'
import { markdownSnippets } from '../src/snippets/markdown.ts'
import { writeSnippets } from '../src/snippets/typecheck.ts'

// The provider of the guide, exactly as printed, passes the suite that every provider runs.
const guide = readFileSync(join(root, 'docs/writing-a-provider.md'), 'utf8')
const snippets = markdownSnippets('docs/writing-a-provider.md', guide).filter(
  ({ name }) => name === 'cabinet' || name === 'cabinet-driver',
)
const folder = writeSnippets(snippets)
afterAll(() => folder.remove())
const { createCabinetProvider } = (await import(
  folder.path({ file: 'docs/writing-a-provider.md', name: 'cabinet' })
)) as {
  createCabinetProvider(options: { baseUrl: string; token: string; fetch: unknown }): TenantProvider<unknown>
}

testProvider('the provider of the guide', () => {
  const { token, fetch, names, sql } = startCabinet()
  const create = () => createCabinetProvider({ baseUrl: 'https://cabinet.example', token, fetch })
  return {
    provider: create(),
    createProvider: create,
    oracle: {
      listDatabases: async (prefix) => names().filter((name) => name.startsWith(prefix)),
      query: async (name, text) => sql(name, text),
      execute: async (name, text) => void sql(name, text),
    },
    secrets: [token],
    cleanup: async () => {},
  }
})
