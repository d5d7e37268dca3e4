import { configError } from '@tenantry/multi-tenancy/provider'

const encoder = new TextEncoder()

/**
 * The password of a user: derived from the secret and the user's random name, so that it is stored nowhere. Whoever
 * has the locator, or reads the server's tables of users, has not got it. Its first characters satisfy the common
 * password policies.
 */
export async function passwordOf(secret: string | undefined, user: string): Promise<string> {
  if (secret === undefined) throw configError('secret', 'is missing')
  const mac = await hmac(secret, `tenantry password of ${user}`)
  return `aA1_${btoa(String.fromCharCode(...mac)).replace(/[+/=]/g, '_')}`
}

/**
 * The name of a lock. Locks are the whole server's and anybody's to take, so without the secret nobody knows it: a
 * tenant's SQL that held another's would hold up its deletion. It has 64 characters at most.
 *
 * @param secret `undefined` where SQL is not kept apart
 */
export async function lockName(secret: string | undefined, of: string): Promise<string> {
  const digest =
    secret === undefined
      ? new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(of)))
      : await hmac(secret, `tenantry lock of ${of}`)
  return `tenantry-${hex(digest.subarray(0, 16))}`
}

async function hmac(secret: string, text: string): Promise<Uint8Array> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)))
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * What MariaDB keeps of a password, in the form that `IDENTIFIED BY PASSWORD` takes as it is: the password itself
 * never travels, and is in no log of statements.
 *
 * @see https://mariadb.com/kb/en/authentication-plugin-mysql_native_password/
 */
export async function nativeHash(password: string): Promise<string> {
  const once = await crypto.subtle.digest('SHA-1', encoder.encode(password))
  const twice = new Uint8Array(await crypto.subtle.digest('SHA-1', once))
  return `*${hex(twice)}`.toUpperCase()
}

/** A name part no other database ever has: 115 bits, of `a-z` and `0-9`. */
export function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(23))].map((byte) => (byte % 32).toString(32)).join('')
}
