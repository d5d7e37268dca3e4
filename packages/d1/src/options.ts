import { configError, type Environment, type Fetch, parseBaseUrl } from '@tenantry/multi-tenancy/provider'
import type { D1Access, D1RestorePoint } from './types.ts'

/** The API's parameter for a database's location: near one of its regions, or inside a jurisdiction. */
export type DatabaseLocation =
  | { readonly primary_location_hint: (typeof REGIONS)[number] }
  | { readonly jurisdiction: (typeof JURISDICTIONS)[number] }

const REGIONS = ['wnam', 'enam', 'weur', 'eeur', 'apac', 'oc'] as const
const JURISDICTIONS = ['eu', 'fedramp', 'us'] as const

export type D1Placement = (typeof REGIONS)[number] | (typeof JURISDICTIONS)[number]

/** Every placement by name. */
export const PLACEMENTS: readonly string[] = [...REGIONS, ...JURISDICTIONS]

/** The account, how to reach its API, and how to reach its databases. */
export interface D1ProviderOptions {
  /** 32 hexadecimal digits. */
  readonly accountId: string
  /** With D1 Edit; with Workers Scripts Edit too for a dispatch namespace. It is never sent to a tenant's Worker. */
  readonly apiToken: string
  /**
   * The access methods, in order. The first one that reaches a tenant's database serves it. See {@link D1Access}.
   *
   * @default [{ kind: 'rest' }]
   */
  readonly access?: readonly D1Access[]
  /**
   * Where new databases are created: a region (`wnam`, `enam`, `weur`, `eeur`, `apac`, `oc`) or a jurisdiction (`eu`,
   * `fedramp`, `us`), which keeps the data inside it. It cannot be changed later.
   *
   * @default near the caller, chosen by Cloudflare
   */
  readonly placement?: D1Placement
  /**
   * Read replication of new databases; only sessions read from replicas.
   *
   * @default 'disabled', chosen by Cloudflare
   */
  readonly readReplication?: 'auto' | 'disabled'
  /** Called, and awaited, before migrations change a tenant's database and before a restore. Costs one request. */
  readonly onRestorePoint?: (point: D1RestorePoint) => void | Promise<void>
  /**
   * Requests that this process may send in any 5 minutes with this token. Cloudflare grants a token 1,200: divide
   * them where several processes have the token.
   *
   * @default 1_200
   */
  readonly rateLimit?: number
  /**
   * Milliseconds that one request may take. D1 itself gives a batch 30 seconds.
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

/** Every option, checked and with its default. */
export interface D1Settings
  extends Required<Omit<D1ProviderOptions, 'placement' | OptionWithoutDefault | 'environment'>> {
  readonly location: DatabaseLocation | undefined
  readonly readReplication: D1ProviderOptions['readReplication']
  readonly onRestorePoint: D1ProviderOptions['onRestorePoint']
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

type OptionWithoutDefault = 'readReplication' | 'onRestorePoint'

/** @throws `config_invalid`, naming the option */
export function parseOptions(options: D1ProviderOptions): D1Settings {
  const {
    accountId,
    apiToken,
    access = [{ kind: 'rest' }],
    placement,
    readReplication,
    rateLimit = 1_200,
    requestTimeout = 60_000,
    pageSize = 1_000,
    // Called through `globalThis`: workerd's `fetch` requires that receiver.
    fetch = (input, init) => globalThis.fetch(input, init),
    environment,
    baseUrl = 'https://api.cloudflare.com/client/v4',
  } = options
  if (typeof accountId !== 'string' || !/^[0-9a-f]{32}$/.test(accountId)) {
    throw configError('accountId', 'must be the 32 hexadecimal digits of an account')
  }
  if (typeof apiToken !== 'string' || !/^[!-~]{6,}$/.test(apiToken)) {
    throw configError('apiToken', 'must be an API token')
  }
  if (!(Number.isInteger(rateLimit) && rateLimit > 0)) {
    throw configError('rateLimit', 'must be a positive number of requests')
  }
  if (!(requestTimeout > 0)) {
    throw configError('requestTimeout', 'must be a positive number of milliseconds')
  }
  if (!(Number.isInteger(pageSize) && pageSize >= 10 && pageSize <= 10_000)) {
    throw configError('pageSize', 'must be from 10 to 10,000')
  }
  if (readReplication !== undefined && readReplication !== 'auto' && readReplication !== 'disabled') {
    throw configError('readReplication', 'must be auto or disabled')
  }
  return {
    ...{ accountId, apiToken, access, readReplication, rateLimit, requestTimeout, pageSize, fetch },
    location: placement === undefined ? undefined : toLocation(placement),
    onRestorePoint: options.onRestorePoint,
    baseUrl: parseBaseUrl('baseUrl', baseUrl),
    now: environment?.now ?? Date.now,
  }
}

/**
 * The API's parameter for a placement.
 *
 * @throws `config_invalid` for an unknown placement
 */
export function toLocation(placement: string): DatabaseLocation {
  const primary_location_hint = REGIONS.find((region) => region === placement)
  if (primary_location_hint !== undefined) return { primary_location_hint }
  const jurisdiction = JURISDICTIONS.find((name) => name === placement)
  if (jurisdiction !== undefined) return { jurisdiction }
  throw configError('placement', `must be one of ${PLACEMENTS.join(', ')}`)
}
