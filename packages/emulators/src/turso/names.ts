import { ApiError } from './errors.ts'

/** One DNS label holds `{name}-{organization}`. */
const labelLength = 63

/** The longest database name, in characters, that an organization's databases may have. */
export function maxNameLength(organization: string): number {
  return labelLength - 1 - organization.length
}

/**
 * Refuses a database name as the live API does: 400, one to `62 - organization.length` characters (the
 * documentation's 64 is not what the server checks), lower-case letters, digits and dashes.
 *
 * @see https://github.com/tursodatabase/turso-cli/issues/1013
 */
export function checkDatabaseName(name: unknown, organization: string): string {
  const max = maxNameLength(organization)
  if (typeof name !== 'string' || name.length < 1 || name.length > max) {
    throw new ApiError(400, `invalid database name: name must contain between 1 and ${max} characters`)
  }
  if (!/^[a-z0-9-]+$/.test(name) || name.startsWith('-')) {
    throw new ApiError(
      400,
      'invalid database name: name must contain only lowercase letters, numbers and dashes',
    )
  }
  return name
}

/** The sqld namespace of a database, which is also the first label of its hostname. */
export function namespaceName(name: string, organization: string): string {
  return `${name}-${organization}`
}

/** The hostname a database answers on, in the form current AWS databases have. */
export function formatHostname(name: string, organization: string, location: string): string {
  return `${namespaceName(name, organization)}.${location}.turso.io`
}

/** True for a hostname that a database of this organization has, had or could have. */
export function isOrganizationHostname(organization: string, hostname: string): boolean {
  const [label = '', location, ...rest] = hostname.split('.')
  return (
    label.endsWith(`-${organization}`) &&
    rest.join('.') === 'turso.io' &&
    locations[location ?? ''] !== undefined
  )
}

/** The name of the database that a hostname of this organization belongs to. */
export function databaseAt(organization: string, hostname: string): string {
  return (hostname.split('.', 1)[0] ?? '').slice(0, -(organization.length + 1))
}

/** Every location a group can have, as `GET /v1/locations` lists them. */
export const locations: Record<string, string> = {
  'aws-ap-northeast-1': 'AWS AP NorthEast (Tokyo)',
  'aws-ap-south-1': 'AWS AP South (Mumbai)',
  'aws-eu-west-1': 'AWS EU West (Ireland)',
  'aws-us-east-1': 'AWS US East (Virginia)',
  'aws-us-east-2': 'AWS US East (Ohio)',
  'aws-us-west-2': 'AWS US West (Oregon)',
}
