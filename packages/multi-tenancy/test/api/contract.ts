import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Hono } from 'hono'
import { expect } from 'vitest'

type Json = Record<string, any>

/** Asks an app, and holds each answer against the document the app serves. */
export interface Contract {
  readonly document: Json
  request(path: string, init?: RequestInit): Promise<Response>
  /** The requests so far, as `METHOD /path status`, which show that no route was left out. */
  readonly seen: Set<string>
}

/** `headers` are those of someone who may read the document; the API is mounted at `mount`. */
export async function createContract(
  app: Hono,
  mount: string,
  headers: Record<string, string>,
  known?: Json,
): Promise<Contract> {
  const served = async () => (await app.request(`${mount}/openapi.json`, { headers })).json()
  const document = known ?? ((await served()) as Json)
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema({ $id: 'document', ...document })
  const compiled = new Map<string, ValidateFunction>()
  const seen = new Set<string>()

  function validator(pointer: string): ValidateFunction {
    const known = compiled.get(pointer) ?? ajv.compile({ $ref: `document#${pointer}` })
    compiled.set(pointer, known)
    return known
  }

  async function check(method: string, path: string, response: Response): Promise<void> {
    if (method === 'head') {
      expect(await response.clone().text()).toBe('')
      return
    }
    const template = findTemplate(document, path)
    const { status } = response
    if (template === undefined || document.paths[template][method] === undefined) {
      // No route of the API: nothing but a problem.
      const problem = await response.clone().json()
      expect(validator('/components/schemas/Problem')(problem), JSON.stringify(problem)).toBe(true)
      return
    }
    const { responses } = document.paths[template][method]
    const key = String(status) in responses ? String(status) : 'default'
    seen.add(`${method.toUpperCase()} ${template.slice(mount.length) || '/'} ${status}`)
    expect(key === 'default' && status < 500, `${method} ${template} ${status} is not described`).toBe(false)
    const { content } = responses[key]
    if (content === undefined) {
      expect(await response.clone().text()).toBe('')
      return
    }
    const type = response.headers.get('content-type')?.replace(/;.*/, '') ?? ''
    expect(Object.keys(content), `${method} ${template} ${status}`).toContain(type)
    const steps = ['paths', template, method, 'responses', key, 'content', type, 'schema']
    const validate = validator(`/${steps.map(escapePointer).join('/')}`)
    const body = (await response.clone().json()) as Json
    const valid = validate(body)
    expect(
      valid,
      `${method} ${template} ${status}: ${JSON.stringify(validate.errors)} ${JSON.stringify(body)}`,
    ).toBe(true)
    if (status >= 400) {
      expect(body.status).toBe(status)
    }
    expect(response.headers.get('cache-control')).toBe('no-store')
  }

  return {
    document,
    seen,
    async request(path, init = {}) {
      const target = `${mount}${path.replace(/^\/(?=$|\?)/, '')}`
      const response = await app.request(target, init)
      await check((init.method ?? 'GET').toLowerCase(), target.replace(/\?.*/s, '') || '/', response)
      return response
    },
  }
}

/** The described path that a path of the API belongs to; the literal one first. */
function findTemplate({ paths }: Json, path: string): string | undefined {
  const matching = Object.keys(paths).filter((template) =>
    new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+').replace(/\./g, '\\.')}$`).test(path),
  )
  const literals = (template: string) =>
    template.split('/').filter((part) => part !== '' && !part.startsWith('{'))
  // The end of `/{id}/operations` distinguishes it from `/operations/{operationId}`.
  return matching.sort((a, b) => literals(b).length - literals(a).length || (a.endsWith('}') ? 1 : -1))[0]
}

function escapePointer(part: string): string {
  return encodeURIComponent(part.replace(/~/g, '~0').replace(/\//g, '~1'))
}
