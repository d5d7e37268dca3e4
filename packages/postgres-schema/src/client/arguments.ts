import type { QueryResult, Submittable } from 'pg'
import type { QueryInput } from '../connections/pipeline.ts'

export type Callback<Value> = (
  error: Error | undefined,
  value?: Value,
  release?: (error?: unknown) => void,
) => void

/** The arguments of `query(text, values?, callback?)`, `query(config, …)` or `query(submittable)`. */
export interface QueryArguments {
  readonly config: QueryInput
  readonly callback: Callback<QueryResult> | undefined
  /** A cursor, a stream, or the driver's own query object. */
  readonly submittable: Submittable | undefined
}

/** @throws `TypeError` without a query, as the driver does */
export function parseArguments(input: unknown, values: unknown, callback: unknown): QueryArguments {
  if (input === null || input === undefined)
    throw new TypeError('Client was passed a null or undefined query')
  const config: Record<string, unknown> =
    typeof input === 'string' ? { text: input } : { ...(input as object) }
  if (Array.isArray(values)) config.values = values
  const done = [values, callback, config.callback].find((value) => typeof value === 'function')
  const submits = typeof (input as { submit?: unknown }).submit === 'function'
  return {
    config,
    callback: done as Callback<QueryResult> | undefined,
    submittable: submits ? (input as Submittable) : undefined,
  }
}

/** A promise, or nothing where there is a callback, as the driver does. */
export function deliver<Value>(
  work: Promise<Value>,
  callback: Callback<Value> | undefined,
): Promise<Value> | undefined {
  if (callback === undefined) return work
  work.then(
    (value) => callback(undefined, value),
    (error) => callback(error),
  )
}
