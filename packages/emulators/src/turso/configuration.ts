import { ApiError } from './errors.ts'
import type { DatabaseRecord } from './records.ts'

/** The part of a database record that its configuration can change. */
export type Configuration = Pick<
  DatabaseRecord,
  | 'sizeLimit'
  | 'allowAttach'
  | 'blockReads'
  | 'blockWrites'
  | 'deleteProtection'
  | 'allowedIps'
  | 'allowedVpcIds'
>

/**
 * Reads a configuration request: an absent field stays as it is, and `null` clears a list, as the API warns.
 *
 * @throws ApiError 400 for a value of the wrong type or a size that is none
 */
export function parseConfiguration(input: Readonly<Record<string, unknown>>): Partial<Configuration> {
  return defined({
    sizeLimit: parseSize(input.size_limit),
    allowAttach: readFlag(input, 'allow_attach'),
    blockReads: readFlag(input, 'block_reads'),
    blockWrites: readFlag(input, 'block_writes'),
    deleteProtection: readFlag(input, 'delete_protection'),
    allowedIps: readList(input, 'allowed_ips'),
    allowedVpcIds: readList(input, 'allowed_aws_vpc_ids'),
  })
}

/** A database's configuration as the API shows it. */
export function presentConfiguration(record: DatabaseRecord): Record<string, unknown> {
  return {
    size_limit: record.sizeLimit,
    allow_attach: record.allowAttach,
    block_reads: record.blockReads,
    block_writes: record.blockWrites,
    delete_protection: record.deleteProtection,
    allowed_ips: record.allowedIps,
    allowed_aws_vpc_ids: record.allowedVpcIds,
  }
}

function parseSize(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string' && /^\d+ ?([kmgt]?b)?$/i.test(value)) return value
  throw new ApiError(400, 'invalid size_limit')
}

/** Reads one boolean of a request's body; `undefined` when it is absent. */
export function readFlag(input: Readonly<Record<string, unknown>>, name: string): boolean | undefined {
  const value = input[name]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'boolean') return value
  throw new ApiError(400, `invalid ${name}: must be a boolean`)
}

function readList(input: Readonly<Record<string, unknown>>, name: string): string[] | undefined {
  const value = input[name]
  if (value === undefined) return undefined
  if (value === null) return []
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  throw new ApiError(400, `invalid ${name}: must be a list of strings`)
}

function defined<T extends object>(values: T): Partial<{ [K in keyof T]: NonNullable<T[K]> }> {
  const present = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present) as Partial<{ [K in keyof T]: NonNullable<T[K]> }>
}
