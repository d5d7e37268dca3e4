import { configError, type Environment } from '@tenantry/multi-tenancy'
import type { Fetch } from './control-plane/strict-fetch.ts'
import type { D1Access } from './types.ts'

/** Where Cloudflare makes a database: near one of its regions, or inside a jurisdiction. */
export type D1Place =
  | { readonly primary_location_hint: (typeof HINTS)[number] }
  | { readonly jurisdiction: (typeof JURISDICTIONS)[number] }

const HINTS = ['wnam', 'enam', 'weur', 'eeur', 'apac', 'oc'] as const
const JURISDICTIONS = ['eu', 'fedramp', 'us'] as const

/** The names of both. */
export const PLACEMENTS: readonly string[] = [...HINTS, ...JURISDICTIONS]

/** A bookmark taken before something that cannot be undone otherwise. */
export interface D1RestorePoint {
  /** The database's. */
  readonly name: string
  readonly uuid: string
  /** What `restore` takes; good for 30 days (7 on the Free plan). */
  readonly bookmark: string
  readonly before: 'migrate' | 'restore'
  /** The migrations about to run. */
  readonly migrations: readonly string[]
}

/** Whose account, how to reach it, and how to reach its databases. */
export interface D1ProviderOptions {
  /** 32 hexadecimal digits. */
  readonly accountId: string
  /** With D1 Edit; with Workers Scripts Edit too for a dispatch namespace. It never goes to a tenant's Worker. */
  readonly apiToken: string
  /**
   * The ways to a tenant's database, the first that has one wins. See {@link D1Access}.
   *
   * @default [{ kind: 'rest' }]
   */
  readonly access?: readonly D1Access[]
  /**
   * Where new databases are made: a region (`wnam`, `enam`, `weur`, `eeur`, `apac`, `oc`) or a jurisdiction (`eu`,
   * `fedramp`, `us`), which keeps the data inside it. It cannot be changed later.
   *
   * @default near whoever asks, as Cloudflare decides
   */
  readonly placement?: D1Placement
  /**
   * Read replication of new databases; only sessions read from replicas.
   *
   * @default 'disabled', as Cloudflare decides
   */
  readonly readReplication?: 'auto' | 'disabled'
  /** Told, and waited for, before migrations change a tenant's database and before a restore. It costs one request. */
  readonly onRestorePoint?: (point: D1RestorePoint) => void | Promise<void>
  /**
   * Requests this process may send in any 5 minutes with this token. Cloudflare grants a token 1,200; leave some
   * where other processes have it too.
   *
   * @default 1_200
   */
  readonly rateLimit?: number
  /**
   * Milliseconds one request may take. D1 itself gives a batch 30 seconds.
   *
   * @default 60_000
   */
  readonly requestTimeout?: number
  /**
   * Databases per page of a listing, 10 to 10,000.
   *
   * @default 1_000
   */
  readonly pageSize?: number
  /** @default 'https://api.cloudflare.com/client/v4' */
  readonly baseUrl?: string
  /** @default globalThis.fetch */
  readonly fetch?: Fetch
  /** Replaces the clock: for tests. */
  readonly environment?: Partial<Pick<Environment, 'now'>>
}

export type D1Placement = (typeof HINTS)[number] | (typeof JURISDICTIONS)[number]

/** Every option with its default, checked. */
export interface D1Settings extends Required<Omit<D1ProviderOptions, Optional | 'environment'>> {
  readonly place: D1Place | undefined
  readonly readReplication: D1ProviderOptions['readReplication']
  readonly onRestorePoint: D1ProviderOptions['onRestorePoint']
  readonly now: () => number
}

type Optional = 'placement' | 'readReplication' | 'onRestorePoint'

/** @throws `config_invalid`, naming the option */
export function d1Settings(options: D1ProviderOptions): D1Settings {
  const { accountId, apiToken, access = [{ kind: 'rest' }], placement, readReplication } = options
  const { rateLimit = 1_200, requestTimeout = 60_000, pageSize = 1_000, onRestorePoint } = options
  // Called through `globalThis`: workerd's `fetch` needs that `this`.
  const { fetch = (input, init) => globalThis.fetch(input, init), environment } = options
  if (typeof accountId !== 'string' || !/^[0-9a-f]{32}$/.test(accountId)) {
    throw configError('accountId', 'must be the 32 hexadecimal digits of an account')
  }
  if (typeof apiToken !== 'string' || !/^[!-~]{6,}$/.test(apiToken)) {
    throw configError('apiToken', 'must be an API token')
  }
  if (!(Number.isInteger(rateLimit) && rateLimit > 0))
    throw configError('rateLimit', 'must be a number of requests')
  if (!(requestTimeout > 0)) throw configError('requestTimeout', 'must be a number of milliseconds')
  if (!(Number.isInteger(pageSize) && pageSize >= 10 && pageSize <= 10_000)) {
    throw configError('pageSize', 'must be from 10 to 10,000')
  }
  if (readReplication !== undefined && readReplication !== 'auto' && readReplication !== 'disabled') {
    throw configError('readReplication', 'must be auto or disabled')
  }
  const place = placement === undefined ? undefined : placeOf(placement)
  const baseUrl = baseOf(options.baseUrl ?? 'https://api.cloudflare.com/client/v4')
  const limits = { rateLimit, requestTimeout, pageSize }
  const now = environment?.now ?? Date.now
  return {
    accountId,
    apiToken,
    access,
    place,
    readReplication,
    onRestorePoint,
    ...limits,
    baseUrl,
    fetch,
    now,
  }
}

/**
 * What the API calls a place.
 *
 * @throws `config_invalid` for what is none
 */
export function placeOf(name: string): D1Place {
  const primary_location_hint = HINTS.find((hint) => hint === name)
  if (primary_location_hint !== undefined) return { primary_location_hint }
  const jurisdiction = JURISDICTIONS.find((each) => each === name)
  if (jurisdiction !== undefined) return { jurisdiction }
  throw configError('placement', `must be one of ${PLACEMENTS.join(', ')}`)
}

function baseOf(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url?.hostname ?? '')
  if (url?.protocol !== 'https:' && !(local && url?.protocol === 'http:')) {
    throw configError('baseUrl', 'must be an https URL')
  }
  return url.origin + url.pathname.replace(/\/+$/, '')
}
