import { configError } from '../errors.ts'

const encoder = new TextEncoder()

/**
 * A password derived from the secret and the random name of a login, so that it is stored nowhere. Without the secret
 * the name says nothing about it. It has 44 characters of `a-z`, `A-Z`, `0-9` and `_`.
 *
 * @throws `config_invalid` without a secret
 */
export async function derivePassword(secret: string | undefined, login: string): Promise<string> {
  if (secret === undefined) throw configError('secret', 'is missing')
  const mac = await hmacSha256(encoder.encode(secret), `tenantry password of ${login}`)
  return toBase64(mac).replace(/[+/=]/g, '_')
}

/** The HMAC-SHA-256 of a text. */
export async function hmacSha256(
  key: Uint8Array<ArrayBuffer>,
  text: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const imported = await crypto.subtle.importKey('raw', key, algorithm, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, encoder.encode(text)))
}

/**
 * A part of a name that no other database ever has: five random bits for each character, of `0-9` and `a-v`.
 *
 * @param length characters; 26 are 130 bits
 */
export function randomId(length = 26): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length))
  return [...bytes].map((byte) => (byte % 32).toString(32)).join('')
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

export function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
