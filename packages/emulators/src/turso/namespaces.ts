import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { type Reply, sendLocal } from '../http.ts'
import type { SqldProcess } from './sqld.ts'

/** What sqld keeps for a namespace. Every field is sent each time: sqld replaces the whole configuration. */
export interface NamespaceConfig {
  /** Public keys (PEM) whose tokens the namespace accepts. Never empty: without a key sqld asks for no token. */
  readonly publicKeys: readonly [string, ...string[]]
  readonly blockReads: boolean
  readonly blockWrites: boolean
  readonly allowAttach: boolean
  /** Bytes, or a number with a unit such as `256mb`; `undefined` for no limit. */
  readonly maxSize: string | undefined
}

/** The administration of a libSQL server's namespaces. */
export interface Namespaces {
  /** Creates an empty namespace. Replaces a forgotten one of the same name. */
  create(namespace: string, config: NamespaceConfig): Promise<void>
  /** Creates a namespace with a copy of another's data. */
  fork(source: string, namespace: string, config: NamespaceConfig): Promise<void>
  configure(namespace: string, config: NamespaceConfig): Promise<void>
  /** Destroys the namespace and its data. Destroying an absent one succeeds. */
  destroy(namespace: string): Promise<void>
  exists(namespace: string): Promise<boolean>
  /** Every namespace that has files on disk, sorted. */
  list(): Promise<string[]>
}

/** Speaks to the administration port of a libSQL server. Every call throws when sqld refuses or has ended. */
export function createNamespaces(sqld: SqldProcess, dataDirectory: string): Namespaces {
  const call = async (method: string, target: string, body?: unknown): Promise<Reply> => {
    const headers = { authorization: `basic ${sqld.adminKey}`, 'content-type': 'application/json' }
    const request = { port: sqld.adminPort, method, path: `/v1/namespaces/${target}`, headers }
    return await sendLocal({ ...request, body: body === undefined ? undefined : JSON.stringify(body) }).catch(
      (cause) => {
        throw new Error(sqld.exitReason() ?? 'sqld did not answer', { cause })
      },
    )
  }
  const demand = async (method: string, target: string, body?: unknown): Promise<void> => {
    const reply = await call(method, target, body)
    if (reply.status === 200) return
    throw new Error(`sqld: ${method} ${target} answered ${reply.status}: ${Buffer.from(reply.body)}`)
  }
  const destroy = async (namespace: string): Promise<void> => {
    const reply = await call('DELETE', namespace)
    if (reply.status !== 200 && reply.status !== 404) {
      throw new Error(`sqld: deleting ${namespace} answered ${reply.status}: ${Buffer.from(reply.body)}`)
    }
  }
  const exists = async (namespace: string): Promise<boolean> =>
    (await call('GET', `${namespace}/config`)).status === 200
  const configure = async (namespace: string, config: NamespaceConfig): Promise<void> =>
    await demand('POST', `${namespace}/config`, toSqld(config))
  // A crash between sqld and our own record leaves a namespace without a record.
  const clear = async (namespace: string): Promise<void> => {
    if (await exists(namespace)) await destroy(namespace)
  }

  return {
    create: async (namespace, config) => {
      await clear(namespace)
      await demand('POST', `${namespace}/create`, toSqld(config))
      await configure(namespace, config)
    },
    fork: async (source, namespace, config) => {
      await clear(namespace)
      await demand('POST', `${source}/fork/${namespace}`)
      await configure(namespace, config)
    },
    configure,
    destroy,
    exists,
    list: async () => {
      const entries = await readdir(path.join(dataDirectory, 'dbs')).catch(() => [])
      return entries.sort()
    },
  }
}

function toSqld(config: NamespaceConfig): Record<string, unknown> {
  return {
    jwt_key: config.publicKeys.join('\n'),
    block_reads: config.blockReads,
    block_writes: config.blockWrites,
    allow_attach: config.allowAttach,
    ...(config.maxSize !== undefined && { max_db_size: config.maxSize }),
  }
}
