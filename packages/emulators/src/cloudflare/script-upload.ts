import type { Call } from './call.ts'
import { ApiError } from './envelope.ts'
import type { Binding, ModuleRecord, ScriptRecord } from './records.ts'
import type { WireScript } from './worker/wire.ts'

/** A script as its upload describes it. */
export type Upload = Pick<
  ScriptRecord,
  'mainModule' | 'modules' | 'bindings' | 'compatibilityDate' | 'compatibilityFlags' | 'tags'
>

const moduleTypes: Readonly<Record<string, 'js' | 'text' | 'json'>> = {
  'application/javascript+module': 'js',
  'text/plain': 'text',
  'application/json': 'json',
}

/** The bindings that a script can have here. */
const bindingTypes = ['d1', 'plain_text', 'secret_text', 'json']

/** A script whose upload names no date runs by the oldest rules. */
const oldestDate = '2021-11-02'

/**
 * Reads the multipart body of an upload: one part `metadata` of JSON, and one part for each module, named after it.
 * Anything else is refused, as the service does: version 7 of the official SDK sends flattened fields.
 *
 * @see https://github.com/cloudflare/cloudflare-typescript/issues/2799
 * @throws ApiError 400 with 10021
 */
export async function readUpload(call: Call, previous: ScriptRecord | undefined): Promise<Upload> {
  const parts = await readParts(call)
  const metadata = await readMetadata(parts.get('metadata'))
  const modules = await Promise.all(
    [...parts].filter(([name]) => name !== 'metadata').map(([name, part]) => readModule(name, part)),
  )
  const { main_module: mainModule, tags, compatibility_date: date, compatibility_flags: flags } = metadata
  if (typeof mainModule !== 'string') throw invalid('metadata must have a `main_module`')
  if (!modules.some(({ name, type }) => name === mainModule && type === 'application/javascript+module')) {
    throw invalid(`No such module "${mainModule}"`)
  }
  const inheritedTypes = Array.isArray(metadata.keep_bindings) ? metadata.keep_bindings : []
  const bindings = toList(metadata.bindings).map((binding) => readBinding(binding, previous))
  const names = new Set(bindings.map(({ name }) => name))
  const old =
    previous?.bindings.filter(({ name, type }) => inheritedTypes.includes(type) && !names.has(name)) ?? []
  const tagList = toList(tags).map(String)
  if (tagList.length > 8) throw invalid('a script can have 8 tags')
  return {
    ...{ mainModule, modules, bindings: [...bindings, ...old], tags: tagList },
    compatibilityDate: typeof date === 'string' ? date : oldestDate,
    compatibilityFlags: toList(flags).map(String),
  }
}

/** A script as the engine's loader takes it. */
export function toWireScript(script: ScriptRecord): WireScript {
  const of = (...types: string[]): Binding[] => script.bindings.filter(({ type }) => types.includes(type))
  return {
    ...{ compatibilityDate: script.compatibilityDate, compatibilityFlags: script.compatibilityFlags },
    mainModule: script.mainModule,
    modules: Object.fromEntries(
      script.modules.map(({ name, type, text }) => {
        const kind = moduleTypes[type] ?? 'js'
        return [name, { [kind]: kind === 'json' ? JSON.parse(text) : text }]
      }),
    ),
    env: Object.fromEntries(
      of('plain_text', 'secret_text', 'json').map((each) => [each.name, each.text ?? each.json]),
    ),
    databases: Object.fromEntries(of('d1').map((each) => [each.name, String(each.database_id)])),
  }
}

async function readParts({ headers, body }: Call): Promise<Map<string, Blob>> {
  const type = headers['content-type'] ?? ''
  if (!type.startsWith('multipart/form-data')) {
    throw new ApiError(415, 10_001, 'Content-Type must be multipart/form-data')
  }
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } })
    .formData()
    .catch((cause: unknown) => {
      throw invalid(`the body is not a form: ${cause instanceof Error ? cause.message : cause}`)
    })
  const parts = new Map<string, Blob>()
  for (const [name, value] of form) parts.set(name, typeof value === 'string' ? new Blob([value]) : value)
  return parts
}

async function readMetadata(part: Blob | undefined): Promise<Record<string, unknown>> {
  if (part === undefined) throw invalid('the form has no part `metadata`')
  try {
    const value: unknown = JSON.parse(await part.text())
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw invalid('the part `metadata` is not JSON')
}

async function readModule(name: string, part: Blob): Promise<ModuleRecord> {
  const type = part.type.split(';', 1)[0] ?? ''
  if (moduleTypes[type] === undefined)
    throw invalid(`the module ${name} has an unexpected type: ${type || 'none'}`)
  return { name, type, text: await part.text() }
}

function readBinding(value: unknown, previous: ScriptRecord | undefined): Binding {
  const binding = value as Binding | null
  if (typeof binding?.name !== 'string' || typeof binding.type !== 'string')
    throw invalid('a binding needs type and name')
  if (binding.type === 'inherit') {
    const old = previous?.bindings.find(({ name }) => name === binding.name)
    if (old === undefined) throw new ApiError(400, 10_057, `there is no binding ${binding.name} to inherit`)
    return old
  }
  if (!bindingTypes.includes(binding.type))
    throw new ApiError(501, 1001, `not emulated: bindings of type ${binding.type}`)
  const { id, ...rest } = binding
  // `id` is what `database_id` was called before, and still sent.
  return binding.type === 'd1' && rest.database_id === undefined
    ? ({ ...rest, database_id: id } as Binding)
    : binding
}

function toList(value: unknown): unknown[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw invalid('a list is expected')
  return value
}

function invalid(problem: string): ApiError {
  return new ApiError(400, 10_021, problem)
}
