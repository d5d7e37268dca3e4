import { configError } from '@tenantry/multi-tenancy'

const encoder = new TextEncoder()

/**
 * The password of a role: derived from the secret and the role's random name, so that it is stored nowhere. Whoever
 * has the locator, or the server's catalogue, has not got it.
 */
export async function passwordOf(secret: string | undefined, role: string): Promise<string> {
  if (secret === undefined) throw configError('secret', 'is missing')
  return base64(await hmac(encoder.encode(secret), `tenantry password of ${role}`)).replace(/[+/=]/g, '_')
}

/**
 * What the server keeps of a password, in the form that `CREATE ROLE … PASSWORD` takes as it is: the password
 * itself never travels, and is in no log of statements.
 *
 * @see https://www.postgresql.org/docs/current/catalog-pg-authid.html
 * @see https://www.rfc-editor.org/rfc/rfc5803
 */
export async function scramVerifier(password: string): Promise<string> {
  const iterations = 4096
  const salt = crypto.getRandomValues(new Uint8Array(16))
  const material = await crypto.subtle.importKey('raw', encoder.encode(password), 'PBKDF2', false, [
    'deriveBits',
  ])
  const bits = await crypto.subtle.deriveBits(
    { name: 'PBKDF2', hash: 'SHA-256', salt, iterations },
    material,
    256,
  )
  const salted = new Uint8Array(bits)
  const client = await hmac(salted, 'Client Key')
  const stored = new Uint8Array(await crypto.subtle.digest('SHA-256', client))
  const server = await hmac(salted, 'Server Key')
  return `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(stored)}:${base64(server)}`
}

/** A name part no other database ever has: 130 bits, of `a-z` and `0-9`. */
export function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(26))].map((byte) => (byte % 32).toString(32)).join('')
}

async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ])
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, encoder.encode(text)))
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}
