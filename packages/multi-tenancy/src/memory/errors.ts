import { createErrorMap, type ErrorMap } from '../provider-kit/error-map.ts'

const errors = createErrorMap({
  classify({ message }) {
    if (/database is (?:locked|busy)/.test(message)) return 'provider_unavailable'
    if (/destroyed|not open/.test(message))
      return { code: 'stale_tenant', message: 'The database was deleted' }
    return 'provider_rejected'
  },
})

/** The coded error for what SQLite threw. */
export const mapError: ErrorMap['mapError'] = errors.mapError
