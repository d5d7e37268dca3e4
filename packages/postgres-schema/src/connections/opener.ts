import {
  type CallOptions,
  derivePassword,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { Client, ClientConfig } from 'pg'
import { toClientConfig } from '../connection-options.ts'
import { isState } from '../errors.ts'
import type { ServerSettings, Settings } from '../options.ts'
import { type Connection, destroy, discardAll, openClient, sessionState } from './connection.ts'
import { refuseSharing } from './detect-pooler.ts'
import { assertLogin } from './login.ts'
import { RESET_POOLED, RESET_SESSION } from './reset.ts'
import type { Facts } from './server-info.ts'
import type { ConnectionPool, Target } from './target.ts'

/** The logins and the facts of the server that connections are opened to. */
interface OpenedServer {
  readonly facts: Facts
  readonly server: {
    login(options: CallOptions): Promise<string>
    tenantLogin(target: Pick<Target, 'place' | 'purpose'>, options: CallOptions): Promise<string>
  }
}

/** Opens and checks the connections of one server. */
export interface Opener {
  createConfig(target: Target, options: CallOptions): Promise<ClientConfig>
  open(pool: () => ConnectionPool, target: Target, options: CallOptions): Promise<Connection>
}

export function createOpener(
  options: ServerSettings,
  settings: Settings,
  redactor: Redactor,
  { server, facts }: OpenedServer,
): Opener {
  const { isolation, pooler, environment } = settings
  const { parsed, serve } = options
  let sharing: Promise<void> | undefined
  /** A transaction behind the pooler has called the routine that resets sessions, so the routine exists. */
  let ready = false

  async function createConfig(target: Target, call: CallOptions): Promise<ClientConfig> {
    if (isolation === 'role') {
      const role = await server.tenantLogin(target, call)
      const password = await derivePassword(settings.secret, role)
      redactor.add(password)
      return toClientConfig(parsed, { ...serve, user: role, password })
    }
    // A statement outside of a scope finds no schema at all. A pooler refuses this parameter.
    const baseline = pooler === 'session' ? { options: '-c search_path=' } : {}
    if (isolation === 'search_path') return toClientConfig(parsed, { ...serve, ...baseline })
    const login = await server.login(call)
    const password = serve?.user === undefined ? await derivePassword(settings.secret, login) : serve.password
    if (password !== undefined) redactor.keep(password)
    const credentials = { user: login, ...(password === undefined ? {} : { password }) }
    return toClientConfig(parsed, { ...serve, ...baseline, ...credentials })
  }

  async function open(pool: () => ConnectionPool, target: Target, call: CallOptions): Promise<Connection> {
    let opened: Connection | undefined
    const onError = (_: unknown, error: unknown): void => void (opened && pool().invalidate(opened, error))
    if (target.kind === 'admin') {
      const client = await openClient(toClientConfig(parsed), call.signal, onError)
      opened = { client, kind: 'admin', dirty: false, pending: 0 }
      return opened
    }
    const config = await createConfig(target, call)
    const client = await openClient({ ...config, pipeline: true }, call.signal, onError)
    try {
      const processID = await checkSession(client, config, target, call)
      const connection: Connection = { client, kind: 'tenant', dirty: false, pending: 0, ...processID }
      opened = connection
      await target.verify?.(connection)
      if (pooler === 'session' && sessionState(connection) === 'dirty') await discardAll(connection)
      return connection
    } catch (error) {
      destroy(client)
      throw error
    }
  }

  /**
   * Checks that a session has the tenant's login and is this client's alone, and ensures that the routine which
   * resets sessions behind a pooler exists.
   */
  async function checkSession(
    client: Client,
    config: ClientConfig,
    target: Target,
    call: CallOptions,
  ): Promise<{ processID?: number }> {
    if (pooler === 'transaction') {
      if (!ready) await withRoutine(facts, call, () => client.query(RESET_POOLED))
      ready = true
      return {}
    }
    const { rows } = await client.query(
      'SELECT pg_catalog.pg_backend_pid() AS pid, session_user AS login, current_user AS role',
    )
    assertLogin(rows[0], await server.tenantLogin(target, call))
    const processID = Number(rows[0].pid)
    // A server says at the start which process serves; a pooler invents a number.
    const direct = processID === (client as unknown as { processID: number }).processID
    if (direct) return { processID }
    await probe(client, config, call)
    // It was another client's, and not every pooler resets it.
    await client.query(RESET_SESSION)
    return { processID }
  }

  async function probe(client: Client, config: ClientConfig, call: CallOptions): Promise<void> {
    // One check for all connections that open now. On Workers, a promise of another request may never complete.
    if (environment.runtime === 'workers') return refuseSharing(client, config, call.signal)
    sharing ??= refuseSharing(client, config, call.signal)
    const check = sharing
    await check.catch((error: unknown) => {
      if (!(error instanceof TenancyError) && sharing === check) sharing = undefined
      throw error
    })
  }

  return { createConfig, open }
}

/** A database that was restored, or that an older version prepared, may lack the routine that resets sessions. */
async function withRoutine<Value>(
  facts: Facts,
  call: CallOptions,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (!isState(error, '3F000', '42883')) throw error
    facts.doubt()
    await facts.prepare(call)
    return work()
  }
}
