import { hmacSha256, toBase64 } from '@tenantry/multi-tenancy/provider'

const encoder = new TextEncoder()

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
  const client = await hmacSha256(salted, 'Client Key')
  const stored = new Uint8Array(await crypto.subtle.digest('SHA-256', client))
  const server = await hmacSha256(salted, 'Server Key')
  return `SCRAM-SHA-256$${iterations}:${toBase64(salt)}$${toBase64(stored)}:${toBase64(server)}`
}
