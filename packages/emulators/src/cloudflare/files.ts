import { createHash, randomBytes } from 'node:crypto'
import type { Reply } from '../http.ts'
import type { Call } from './call.ts'

/** What stands behind signed addresses: uploads for imports, downloads of exports. */
export interface Files {
  /** A signed address that takes one upload by PUT. */
  upload(filename: string): string
  /** The text uploaded under a name and an MD5; `undefined` when there is none. */
  read(filename: string, etag: string): string | undefined
  /** A signed address, valid for an hour, that gives a text by GET. */
  download(text: string): string
  /** Answers a request to a signed address. */
  handle(call: Call): Promise<Reply>
}

interface File {
  readonly method: 'GET' | 'PUT'
  readonly name: string
  readonly expires: number
  text: string | undefined
}

const validMs = 60 * 60 * 1000

/** Files in memory. @param url Where the emulator listens. */
export function createFiles(url: () => string, now: () => number): Files {
  const files = new Map<string, File>()
  const sign = (file: Omit<File, 'expires'>): string => {
    for (const [id, { expires }] of files) if (expires <= now()) files.delete(id)
    const id = randomBytes(24).toString('base64url')
    files.set(id, { ...file, expires: now() + validMs })
    return `${url()}/_files/${id}`
  }
  const refuse = (status: number, text: string): Reply => ({
    ...{ status, headers: { 'content-type': 'text/plain' }, body: Buffer.from(text) },
  })
  return {
    upload: (name) => sign({ method: 'PUT', name, text: undefined }),
    download: (text) => sign({ method: 'GET', name: '', text }),
    read: (name, etag) =>
      [...files.values()].find(
        (file) => file.name === name && file.text !== undefined && md5(file.text) === etag,
      )?.text,
    handle: async (call) => {
      const file = files.get(call.parameters.file ?? '')
      if (file === undefined || file.expires <= now())
        return refuse(403, 'The address is not valid, or no longer')
      if (file.method !== call.method) return refuse(405, 'The address is signed for another method')
      if (file.method === 'GET') {
        const headers = { 'content-type': 'application/sql' }
        return { status: 200, headers, body: Buffer.from(file.text ?? '') }
      }
      file.text = Buffer.from(call.body).toString()
      return { status: 200, headers: { etag: `"${md5(file.text)}"` }, body: Buffer.alloc(0) }
    },
  }
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
