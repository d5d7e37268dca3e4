import { derivePassword, hmacSha256, toHex } from '@tenantry/multi-tenancy/provider'

const encoder = new TextEncoder()

/**
 * The password of a tenant's user, derived from the secret and the user's random name. Neither a locator nor the
 * server's user tables reveal it. Its first characters satisfy common password policies.
 */
export async function deriveUserPassword(secret: string | undefined, user: string): Promise<string> {
  return `aA1_${await derivePassword(secret, user)}`
}

/**
 * The name of a lock, at most 64 characters. Locks belong to the whole server, and every user may take one. Without the
 * secret no tenant can compute the name, so no tenant's SQL can delay the deletion of another tenant.
 *
 * @param secret `undefined` where tenants share one user
 */
export async function deriveLockName(secret: string | undefined, resource: string): Promise<string> {
  const digest =
    secret === undefined
      ? new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(resource)))
      : await hmacSha256(encoder.encode(secret), `tenantry lock of ${resource}`)
  return `tenantry-${toHex(digest.subarray(0, 16))}`
}

/**
 * What MariaDB stores of a password, in the form that `IDENTIFIED BY PASSWORD` takes: the password itself is never sent,
 * and appears in no log of statements.
 *
 * @see https://mariadb.com/kb/en/authentication-plugin-mysql_native_password/
 */
export async function hashNativePassword(password: string): Promise<string> {
  const once = await crypto.subtle.digest('SHA-1', encoder.encode(password))
  const twice = new Uint8Array(await crypto.subtle.digest('SHA-1', once))
  return `*${toHex(twice)}`.toUpperCase()
}
