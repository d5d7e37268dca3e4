import { ApiError } from './errors.ts'
import { operations, type PlatformOperation, type Scope } from './operations.ts'
import { type SigningKey, sign } from './tokens.ts'

/** A platform token pinned to one group, with the operations it allows. */
export interface GroupScope {
  readonly group: string
  readonly scopes: readonly Scope[]
}

/** The platform tokens an emulator accepts. */
export interface PlatformTokens {
  /** Mints a group-scoped token, the kind Turso recommends for automation. */
  mint(scope: GroupScope): Promise<string>
  /**
   * Checks a request's `Authorization` header.
   *
   * @param group The group the request is about; `undefined` when it has none.
   * @returns the group that the token is pinned to; `undefined` for the organization's own token
   * @throws ApiError 401 for a missing or unknown token, 403 for one that does not allow the operation
   */
  check(
    header: string | undefined,
    operation: PlatformOperation,
    group: string | undefined,
  ): string | undefined
}

/** Knows the organization's token, which may do everything, and the group-scoped ones it minted. */
export function createPlatformTokens(apiToken: string, key: SigningKey, now: () => number): PlatformTokens {
  const known = new Map<string, GroupScope | 'organization'>([[apiToken, 'organization']])
  return {
    mint: async (scope) => {
      const token = await mintPlatformToken(key, now())
      known.set(token, scope)
      return token
    },
    check: (header, operation, group) => {
      const token = /^Bearer (.+)$/i.exec(header ?? '')?.[1]
      const grant = known.get(token ?? '')
      if (grant === undefined) {
        // A SQL token here is the classic mistake, and the API has a wording of its own for it.
        const isJwt = token?.split('.').length === 3
        throw new ApiError(401, isJwt ? 'could not parse jwt id' : 'unauthorized')
      }
      const needed = operations[operation].scope
      if (grant === 'organization') return undefined
      if (needed === 'any') return grant.group
      const elsewhere = group !== undefined && group !== grant.group
      if (needed === 'organization' || elsewhere || !grant.scopes.includes(needed)) {
        throw new ApiError(403, 'forbidden')
      }
      return grant.group
    },
  }
}

/** Mints a platform token. Its key opens no database, as with the real ones. */
export async function mintPlatformToken(key: SigningKey, now: number): Promise<string> {
  return await sign(key, { jti: crypto.randomUUID(), type: 'api' }, undefined, now)
}
