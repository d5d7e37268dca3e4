import { configError, type Environment, type Fetch } from '@tenantry/multi-tenancy/provider'
import { type IntMode, parseIntMode } from './libsql/int-mode.ts'
import { parseTimeout } from './timeout-option.ts'

/** The account, and how it is reached. */
export interface TursoProviderOptions {
  /** The organization's (or personal account's) slug. */
  readonly organizationName: string
  /**
   * A platform token. A group-scoped one with `read`, `db:create`, `db:delete` and `db:mint-token` is enough, with a
   * catalog also `db:configure` and `db:rotate-creds`; it is never sent to a database.
   */
  readonly apiToken: string
  /**
   * The group in which new databases are created. It decides their location.
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
   * The lifetime of a database's token, in the API's form: `30m`, `1h`, `1d12h`. It is renewed after 80 % of it.
   *
   * @default '1h'
   */
  readonly tokenLifetime?: string
  /**
   * The hosts that databases may be on. `*.` stands for any labels.
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
  /**
   * How handlers receive integers, as in libSQL: `number` throws a `RangeError` for one beyond 2^53, `bigint` and
   * `string` return every integer.
   *
   * @default 'number'
   */
  readonly intMode?: IntMode
  /** Replaces the clock, sleep and the detected runtime in tests. */
  readonly environment?: Partial<Environment>
}

/** Every option with its default. */
export type TursoSettings = Required<Omit<TursoProviderOptions, 'environment'>> & {
  readonly environment: Pick<Environment, 'now' | 'sleep' | 'runtime'>
}

/**
 * Applies the defaults and checks the options. `allowedHosts`, `baseUrl` and `tokenLifetime` are checked by the modules
 * that parse them.
 *
 * @throws `config_invalid`, naming the option
 */
export function resolveTursoOptions(options: TursoProviderOptions): TursoSettings {
  const { organizationName, apiToken, group = 'default', groups = [] } = options
  const { tokenLifetime = '1h', allowedHosts = ['*.turso.io'], baseUrl = 'https://api.turso.tech' } = options
  // Called through `globalThis`: the `fetch` of workerd requires that `this`.
  const { fetch = (input, init) => globalThis.fetch(input, init), environment } = options
  if (!isSlug(organizationName)) throw configError('organizationName', 'must be the slug of an organization')
  if (!Array.isArray(groups) || !groups.every(isSlug)) {
    throw configError('groups', 'must be a list of group names')
  }
  if (!isSlug(group)) throw configError('group', 'must be the name of a group')
  if (typeof apiToken !== 'string' || !/^[!-~]{6,}$/.test(apiToken)) {
    throw configError('apiToken', 'must be a platform token')
  }
  const requestTimeout = parseTimeout('requestTimeout', options.requestTimeout ?? 60_000, 1)
  const account = { organizationName, apiToken, group, groups, baseUrl, allowedHosts }
  return {
    ...account,
    tokenLifetime,
    requestTimeout,
    intMode: parseIntMode(options.intMode),
    fetch,
    environment: { ...systemEnvironment(), ...environment },
  }
}

function isSlug(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,59}[a-z0-9])?$/.test(value)
}

function systemEnvironment(): TursoSettings['environment'] {
  return {
    runtime: globalThis.navigator?.userAgent === 'Cloudflare-Workers' ? 'workers' : 'node',
    now: Date.now,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }
}
