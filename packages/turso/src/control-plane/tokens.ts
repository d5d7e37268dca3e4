import { type DatabaseStatus, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { TursoDatabase } from '../locator.ts'
import { createTokenMinter, type MintedToken, type TokenMinterOptions } from './token-minter.ts'

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

export interface TokenStoreOptions extends TokenMinterOptions {
  /** Whether a caller may await a request that another caller started. Workers do not allow it. */
  readonly shared: boolean
}

interface StoredToken extends Omit<MintedToken, 'renewAt'> {
  renewAt: number
  /** Minted because another token was refused, and not accepted by the database yet. */
  unproven: boolean
}

const MAX_TOKENS = 1_000
/** Milliseconds after minting in which a token that replaced a refused one is not replaced again. */
const PROOF_PERIOD = 5_000
/** Milliseconds until a failed renewal is tried again while the old token is still valid. */
const RENEWAL_PAUSE = 30_000
const PLATFORM_TIMEOUT = 10_000

/** @throws `config_invalid` for a lifetime that the API does not accept or that is under a minute */
export function createTokenStore(options: TokenStoreOptions): TokenStore {
  const { shared, now } = options
  const minter = createTokenMinter(options)
  const stored = new Map<string, StoredToken>()
  const minting = new Map<string, Promise<string>>()

  function store(id: string, token: StoredToken): void {
    stored.delete(id)
    if (stored.size >= MAX_TOKENS) for (const oldest of stored.keys()) if (stored.delete(oldest)) break
    stored.set(id, token)
  }

  async function mint(database: TursoDatabase, signal: AbortSignal): Promise<string> {
    const minted = await minter.mint(database, signal)
    store(database.id, { ...minted, unproven: false })
    return minted.token
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
    find: (database, signal = AbortSignal.timeout(PLATFORM_TIMEOUT)) => minter.find(database, signal),
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
