import { configError, type Environment } from '@tenantry/multi-tenancy'
import type { Fetch } from './http.ts'
import { milliseconds } from './timeout-option.ts'

/** Whose account, and how to reach it. */
export interface TursoProviderOptions {
  /** The organization's (or personal account's) slug. */
  readonly organizationName: string
  /**
   * A platform token. A group-scoped one with `read`, `db:create`, `db:delete` and `db:mint-token` is enough, with a
   * catalog also `db:configure` and `db:rotate-creds`; it never goes to a database.
   */
  readonly apiToken: string
  /**
   * The group new databases are made in, which decides their place.
   *
   * @default 'default'
   */
  readonly group?: string
  /**
   * Further groups, which a tenant's `placement` may name.
   *
   * @default []
   */
  readonly groups?: readonly string[]
  /**
   * How long a database's token is good, as the API takes it: `30m`, `1h`, `1d12h`. It is renewed at 80 % of it.
   *
   * @default '1h'
   */
  readonly tokenLifetime?: string
  /**
   * The hosts databases may be on, `*.` standing for any labels.
   *
   * @default ['*.turso.io']
   */
  readonly allowedHosts?: readonly string[]
  /** @default 'https://api.turso.tech' */
  readonly baseUrl?: string
  /**
   * Milliseconds one request to a database may take.
   *
   * @default 60_000
   */
  readonly requestTimeout?: number
  /** @default globalThis.fetch */
  readonly fetch?: Fetch
  /** Replaces clock, sleep and runtime detection: for tests. */
  readonly environment?: Partial<Environment>
}

/** Every option with its default. The options of hosts, URL and lifetime are checked by who uses them. */
export type TursoSettings = Required<Omit<TursoProviderOptions, 'environment'>> & {
  readonly environment: Pick<Environment, 'now' | 'sleep' | 'runtime'>
}

/** @throws `config_invalid`, naming the option */
export function tursoSettings(options: TursoProviderOptions): TursoSettings {
  const { organizationName, apiToken, group = 'default' } = options
  const { tokenLifetime = '1h', allowedHosts = ['*.turso.io'], baseUrl = 'https://api.turso.tech' } = options
  // Called through `globalThis`: workerd's `fetch` needs that `this`.
  const { fetch = (input, init) => globalThis.fetch(input, init), environment } = options
  if (!isSlug(organizationName)) throw configError('organizationName', 'must be the slug of an organization')
  const { groups = [] } = options
  if (!Array.isArray(groups) || !groups.every(isSlug)) throw configError('groups', 'must be names of groups')
  if (!isSlug(group)) throw configError('group', 'must be the name of a group')
  if (typeof apiToken !== 'string' || !/^[!-~]{6,}$/.test(apiToken)) {
    throw configError('apiToken', 'must be a platform token')
  }
  const requestTimeout = milliseconds('requestTimeout', options.requestTimeout ?? 60_000, 1)
  const account = { organizationName, apiToken, group, groups, baseUrl, allowedHosts }
  return { ...account, tokenLifetime, requestTimeout, fetch, environment: { ...realWorld(), ...environment } }
}

function isSlug(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,59}[a-z0-9])?$/.test(value)
}

function realWorld(): TursoSettings['environment'] {
  return {
    runtime: globalThis.navigator?.userAgent === 'Cloudflare-Workers' ? 'workers' : 'node',
    now: Date.now,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }
}
