import {
  classifyConnectionError,
  configError,
  type DatabaseStatus,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import { isPlatformError, type PlatformApi, type TursoDatabase } from './platform-api.ts'

/** Short-lived tokens, each for one database. They are plain data, so a Worker may keep them between requests. */
export interface TokenStore {
  /** A token that should still be valid. It is minted on first use and renewed after 80 % of its lifetime. */
  get(database: TursoDatabase, signal?: AbortSignal): Promise<string>
  /**
   * Another token than the one that the database refused.
   *
   * @throws `credentials_rejected` when the refused token was itself minted moments ago for this reason and never
   * accepted: minting again would not help
   */
  renew(database: TursoDatabase, refused: string): Promise<string>
  /** Records that the database accepted its token. */
  markAccepted(database: TursoDatabase): void
  /** Asks the platform which database has the name; one on another host counts as another database. */
  find(database: TursoDatabase, signal?: AbortSignal): Promise<DatabaseStatus | undefined>
  forget(database: TursoDatabase): void
}

export interface TokenStoreOptions {
  readonly api: Pick<PlatformApi, 'get' | 'mintToken'>
  readonly redactor: Redactor
  /** In the API's form: `1h`, `2d`, `1d12h`. */
  readonly lifetime: string
  /** Whether a caller may await a request that another caller started. Workers do not allow it. */
  readonly shared: boolean
  readonly now: () => number
}

interface StoredToken {
  readonly token: string
  readonly mintedAt: number
  readonly expiresAt: number
  renewAt: number
  /** Minted because another token was refused, and not accepted by the database yet. */
  unproven: boolean
}

const MAX_TOKENS = 1_000
const RENEWAL_SHARE = 0.8
/** Milliseconds after minting in which a token that replaced a refused one is not replaced again. */
const PROOF_PERIOD = 5_000
/** Milliseconds until a failed renewal is tried again while the old token is still valid. */
const RENEWAL_PAUSE = 30_000
const PLATFORM_TIMEOUT = 10_000

/** @throws `config_invalid` for a lifetime that the API does not accept or that is under a minute */
export function createTokenStore(options: TokenStoreOptions): TokenStore {
  const { api, redactor, lifetime, shared, now } = options
  const lifetimeMs = parseLifetime(lifetime)
  const stored = new Map<string, StoredToken>()
  const minting = new Map<string, Promise<string>>()

  /**
   * Tokens are minted by name, and only afterwards the API is asked which database has the name. If it is the expected
   * one, it had the name all along, because an id is never reused; so no token opens a re-created database.
   */
  async function mint(database: TursoDatabase, signal: AbortSignal): Promise<string> {
    const { name, id } = database
    const mintedAt = now()
    const token = await api.mintToken(name, lifetime, signal).catch((error: unknown) => {
      if (isPlatformError(error) && error.status === 404) return undefined
      throw error
    })
    redactor.add(token)
    const refusal = classifyConnectionError(await find(database, signal))
    if (refusal !== undefined) throw refusal
    if (token === undefined) {
      throw new TenancyError('tenant_not_ready', `The new database "${name}" does not accept tokens yet`, {
        retryAfter: 2,
      })
    }
    const renewAt = mintedAt + lifetimeMs * RENEWAL_SHARE
    store(id, { token, mintedAt, expiresAt: mintedAt + lifetimeMs, renewAt, unproven: false })
    return token
  }

  async function find(
    { name, id, hostname }: TursoDatabase,
    signal: AbortSignal = AbortSignal.timeout(PLATFORM_TIMEOUT),
  ): Promise<DatabaseStatus | undefined> {
    const current = await api.get(name, signal)
    return current && { same: current.id === id && current.hostname === hostname }
  }

  function store(id: string, token: StoredToken): void {
    stored.delete(id)
    if (stored.size >= MAX_TOKENS) for (const oldest of stored.keys()) if (stored.delete(oldest)) break
    stored.set(id, token)
  }

  function mintOnce(
    database: TursoDatabase,
    signal = AbortSignal.timeout(PLATFORM_TIMEOUT),
  ): Promise<string> {
    if (!shared) return mint(database, signal)
    const running = minting.get(database.id)
    if (running !== undefined) return running
    // Not with the first caller's signal: others wait for the same token.
    const promise = mint(database, AbortSignal.timeout(PLATFORM_TIMEOUT)).finally(() => {
      minting.delete(database.id)
    })
    minting.set(database.id, promise)
    return promise
  }

  /** Renews a token before it expires; the old one stays in use while the platform fails. */
  async function renewEarly(database: TursoDatabase, current: StoredToken): Promise<string> {
    try {
      return await mintOnce(database)
    } catch (error) {
      if (isGone(error)) {
        stored.delete(database.id)
        throw error
      }
      // Otherwise every request would call a platform that fails.
      current.renewAt = now() + RENEWAL_PAUSE
      return current.token
    }
  }

  return {
    find,
    async get(database, signal) {
      const current = stored.get(database.id)
      if (current === undefined || current.expiresAt <= now()) return mintOnce(database, signal)
      if (current.renewAt > now()) return current.token
      const renewal = renewEarly(database, current)
      if (!shared) return renewal
      // In the background: the old token is still valid.
      renewal.catch(() => {})
      return current.token
    },
    async renew(database, refused) {
      const current = stored.get(database.id)
      if (current !== undefined && current.token !== refused) return current.token
      if (current?.unproven && now() - current.mintedAt < PROOF_PERIOD) {
        throw new TenancyError(
          'credentials_rejected',
          `The database "${database.name}" refuses the token that was just minted for it`,
        )
      }
      const token = await mintOnce(database)
      const renewed = stored.get(database.id)
      if (renewed?.token === token) renewed.unproven = true
      return token
    },
    markAccepted({ id }) {
      const current = stored.get(id)
      if (current !== undefined) current.unproven = false
    },
    forget({ id }) {
      stored.delete(id)
    },
  }
}

/** Whether the platform says that the database was deleted or replaced. */
function isGone(error: unknown): boolean {
  return error instanceof TenancyError && ['tenant_not_found', 'stale_tenant'].includes(error.code)
}

/** Milliseconds, in the order in which a lifetime names its units. */
const UNITS = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 }

/** @see https://docs.turso.tech/api-reference/databases/create-token */
function parseLifetime(lifetime: string): number {
  const match = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(String(lifetime))
  const ms = Object.values(UNITS).reduce(
    (sum, unit, index) => sum + unit * Number(match?.[index + 1] ?? 0),
    0,
  )
  if (ms >= 60_000) return ms
  throw configError('tokenLifetime', 'must be at least a minute, in the form 30m, 1h or 1d12h')
}
