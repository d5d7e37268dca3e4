/** Steps as they are sent: many small writes would cost more than the statements. */
export interface EncodedSteps {
  readonly bytes: Uint8Array
  /** How many of them are executed, and so answered. */
  readonly executed: number
  /** Where the digits of `SEED` are, to be others each time. */
  readonly seedAt?: number
}

const encoder = new TextEncoder()

export const NO_STEPS: EncodedSteps = { bytes: new Uint8Array(0), executed: 0 }

/**
 * Parse, Bind and Execute for each statement of ours, without name, parameters or a Sync.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function encodeSteps(texts: readonly string[]): EncodedSteps {
  const messages = texts.flatMap((text) => [
    message('P', string(''), string(text), int16(0)),
    message('B', string(''), string(''), int16(0), int16(0), int16(0)),
    message('E', string(''), int32(0)),
  ])
  const bytes = joined(messages)
  const seedAt = new TextDecoder('latin1').decode(bytes).indexOf(SEED)
  return { bytes, executed: texts.length, ...(seedAt >= 0 && { seedAt: seedAt + 2 }) }
}

/** A number for the server's `random()` to begin with; what is sent has other digits. */
export const SEED = '0.000000000000000'

/** Taken many at a time: asking for them costs more than they do. */
const unknown = new Uint8Array(4_096)
let left = 0

/** Writes digits that nobody knows, in the place of those of `SEED`; of `Math.random`, a few tell those that follow. */
export function scatter(bytes: Uint8Array, seedAt: number): void {
  for (let at = seedAt; at < seedAt + SEED.length - 2; at++) {
    if (left === 0) left = crypto.getRandomValues(unknown).length
    bytes[at] = 48 + ((unknown[--left] ?? 0) % 10)
  }
}

/** Ends what is one transaction. */
export const SYNC: Uint8Array = message('S')

/**
 * What fails a COPY FROM STDIN; after anything else the server drops it.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY
 */
export const COPY_FAIL: EncodedSteps = {
  bytes: message('f', string('COPY FROM STDIN needs a stream')),
  executed: 0,
}

function message(type: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = joined(parts)
  return joined([encoder.encode(type), int32(body.length + 4), body])
}

function string(text: string): Uint8Array {
  return encoder.encode(`${text}\0`)
}

function int16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value)
}

function int32(value: number): Uint8Array {
  return Uint8Array.of(value >> 24, value >> 16, value >> 8, value)
}

/** One after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return copied(parts, new Uint8Array(lengthOf(parts)))
}

const SLAB = 65_536
let slab = new Uint8Array(0)
let used = 0

/** The same for what is sent at once and forgotten: memory for it is taken many at a time. */
export function gathered(parts: readonly Uint8Array[]): Uint8Array {
  const length = lengthOf(parts)
  if (length > SLAB / 8) return joined(parts)
  if (used + length > slab.length) {
    slab = new Uint8Array(SLAB)
    used = 0
  }
  used += length
  return copied(parts, slab.subarray(used - length, used))
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0
  for (const part of parts) length += part.length
  return length
}

function copied(parts: readonly Uint8Array[], bytes: Uint8Array): Uint8Array {
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
