import { createHash, randomUUID } from 'node:crypto'
import { ApiError, success } from './envelope.ts'
import type { ApiOperation } from './operations.ts'
import { type NamespaceRecord, newNamespace, type Records, type ScriptRecord } from './records.ts'
import type { ApiOptions, Route } from './route.ts'
import { readUpload } from './script-upload.ts'

type Operation = Extract<ApiOperation, `namespaces.${string}` | `scripts.${string}`>

/** The routes of dispatch namespaces and the scripts in them. */
export function scriptRoutes({ records, now }: ApiOptions): Readonly<Record<Operation, Route>> {
  const { namespaces, scripts } = records
  const inNamespace = (name: string): ScriptRecord[] =>
    [...scripts.values()].filter(({ namespace }) => namespace === name)
  const findNamespace = (parameters: Readonly<Record<string, string>>): NamespaceRecord => {
    const record = namespaces.get(parameters.namespace ?? '')
    if (record === undefined)
      throw new ApiError(404, 100_119, 'workers.api.error.dispatch_namespace_not_found')
    return record
  }
  const findScript = (parameters: Readonly<Record<string, string>>): ScriptRecord => {
    findNamespace(parameters)
    const record = scripts.get(`${parameters.namespace}/${parameters.script}`)
    if (record === undefined) throw new ApiError(404, 10_007, 'This Worker does not exist on your account.')
    return record
  }
  const presentNamespace = ({ id, name, createdOn }: NamespaceRecord): Record<string, unknown> => ({
    ...{ namespace_id: id, namespace_name: name, script_count: inNamespace(name).length },
    ...{ created_on: createdOn, modified_on: createdOn, trusted_workers: false },
  })
  return {
    'namespaces.create': (_, { name }) => {
      if (typeof name !== 'string' || name === '')
        throw new ApiError(400, 100_118, 'the namespace needs a name')
      return records.change(async () => {
        if (namespaces.has(name))
          throw new ApiError(409, 100_120, 'a namespace with this name already exists')
        const namespace = newNamespace(name, now())
        namespaces.set(name, namespace)
        return success(presentNamespace(namespace))
      })
    },
    'namespaces.list': () => success([...namespaces.values()].map(presentNamespace)),
    'namespaces.get': ({ parameters }) => success(presentNamespace(findNamespace(parameters))),
    'namespaces.delete': ({ parameters }) =>
      records.change(async () => {
        const { name } = findNamespace(parameters)
        for (const script of inNamespace(name)) scripts.delete(`${name}/${script.name}`)
        namespaces.delete(name)
        return success(null)
      }),
    'scripts.list': ({ parameters }) =>
      success(inNamespace(findNamespace(parameters).name).map(presentScript)),
    'scripts.put': async (call) => {
      const { namespace = '', script: name = '' } = call.parameters
      findNamespace(call.parameters)
      if (!/^[a-z0-9_][a-z0-9_-]{0,62}$/i.test(name))
        throw new ApiError(400, 10_016, `invalid Worker name: ${name}`)
      const previous = scripts.get(`${namespace}/${name}`)
      const upload = await readUpload(call, previous)
      checkDatabases(upload.bindings, records)
      return await records.change(async () => {
        findNamespace(call.parameters)
        const modifiedOn = new Date(now()).toISOString()
        const times = { createdOn: previous?.createdOn ?? modifiedOn, modifiedOn }
        const record = { ...upload, namespace, name, version: randomUUID(), ...times }
        scripts.set(`${namespace}/${name}`, record)
        return success({ ...presentScriptItself(record), startup_time_ms: 1 })
      })
    },
    'scripts.get': ({ parameters }) => success(presentScript(findScript(parameters))),
    'scripts.delete': ({ parameters }) =>
      records.change(async () => {
        const { namespace, name } = findScript(parameters)
        scripts.delete(`${namespace}/${name}`)
        return success(null)
      }),
    'scripts.bindings': ({ parameters }) => success(findScript(parameters).bindings.map(withoutSecret)),
    'scripts.settings': ({ parameters }) => {
      const { bindings, compatibilityDate, compatibilityFlags, tags } = findScript(parameters)
      const dates = { compatibility_date: compatibilityDate, compatibility_flags: compatibilityFlags }
      return success({ bindings: bindings.map(withoutSecret), ...dates, tags, logpush: false })
    },
  }
}

function checkDatabases(bindings: ScriptRecord['bindings'], { databases }: Records): void {
  for (const { type, name, database_id } of bindings) {
    if (type !== 'd1' || databases.has(String(database_id))) continue
    throw new ApiError(400, 10_021, `binding ${name} of type d1 must have a valid \`database_id\` specified`)
  }
}

function presentScript(record: ScriptRecord): Record<string, unknown> {
  const { namespace, createdOn, modifiedOn } = record
  const times = { created_on: createdOn, modified_on: modifiedOn }
  return { ...times, dispatch_namespace: namespace, script: presentScriptItself(record) }
}

function presentScriptItself(record: ScriptRecord): Record<string, unknown> {
  return {
    ...{
      id: record.name,
      etag: createHash('sha256').update(record.version).digest('hex'),
      tags: record.tags,
    },
    ...{ created_on: record.createdOn, modified_on: record.modifiedOn, has_modules: true, has_assets: false },
    ...{ compatibility_date: record.compatibilityDate, compatibility_flags: record.compatibilityFlags },
    ...{ handlers: ['fetch'], logpush: false, usage_model: 'standard', last_deployed_from: 'api' },
  }
}

/** A secret is write only. */
function withoutSecret(binding: ScriptRecord['bindings'][number]): Record<string, unknown> {
  const { text, ...rest } = binding
  return binding.type === 'secret_text' || text === undefined ? rest : { ...rest, text }
}
