import type { DatabaseRecord, GroupRecord } from './records.ts'

/** A database as `GET …/databases/{name}` shows it. The mixed casing is the API's own. */
export function presentDatabase(record: DatabaseRecord): Record<string, unknown> {
  return {
    Name: record.name,
    DbId: record.id,
    Hostname: record.hostname,
    block_reads: record.blockReads,
    block_writes: record.blockWrites,
    regions: [record.location],
    primaryRegion: record.location,
    group: record.group,
    delete_protection: record.deleteProtection,
    parent: record.parent,
  }
}

/** A group as the API shows it. */
export function presentGroup(record: GroupRecord): Record<string, unknown> {
  return {
    name: record.name,
    version: 'v0.24.32',
    uuid: record.uuid,
    locations: [record.location],
    primary: record.location,
    delete_protection: record.deleteProtection,
  }
}

/** The only instance a database of the emulator has. Its uuid is the database's. */
export function presentInstance(record: DatabaseRecord): Record<string, unknown> {
  return {
    uuid: record.id,
    name: record.location,
    type: 'primary',
    region: record.location,
    hostname: record.hostname,
  }
}

/** A database's usage. The emulator counts nothing, so every figure is zero. */
export function presentUsage(record: DatabaseRecord): Record<string, unknown> {
  const usage = { rows_read: 0, rows_written: 0, storage_bytes: 0, bytes_synced: 0 }
  return { uuid: record.id, instances: [{ uuid: record.id, usage }], total: usage }
}
