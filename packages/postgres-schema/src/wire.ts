/** One statement of ours around the user's: prepared before under `name`, or sent as `text`. */
export interface Step {
  readonly text?: string
  readonly name?: string
  readonly values?: readonly string[]
  /** Only makes the prepared statement. */
  readonly prepareOnly?: boolean
}

/** Steps as they are sent: many small writes would cost more than the statements. */
export interface EncodedSteps {
  readonly bytes: Uint8Array
  /** How many of them are executed, and so answered. */
  readonly executed: number
}

const encoder = new TextEncoder()

export const NO_STEPS: EncodedSteps = { bytes: new Uint8Array(0), executed: 0 }

/**
 * Parse, Bind and Execute for each step, without a Sync.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function encodeSteps(steps: readonly Step[]): EncodedSteps {
  const messages = steps.flatMap(({ text, name = '', values = [], prepareOnly = false }) => [
    ...(text === undefined ? [] : [message('P', string(name), string(text), int16(0))]),
    ...(prepareOnly ? [] : [message('B', string(''), string(name), int16(0), parameters(values), int16(0))]),
    ...(prepareOnly ? [] : [message('E', string(''), int32(0))]),
  ])
  return { bytes: joined(messages), executed: steps.filter((step) => !step.prepareOnly).length }
}

function message(type: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = joined(parts)
  return joined([encoder.encode(type), int32(body.length + 4), body])
}

function parameters(values: readonly string[]): Uint8Array {
  return joined([
    int16(values.length),
    ...values.map((value) => {
      const bytes = encoder.encode(value)
      return joined([int32(bytes.length), bytes])
    }),
  ])
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
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
