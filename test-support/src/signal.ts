/** Options for a call of a provider that is never aborted. */
export const neverAborted: { readonly signal: AbortSignal } = { signal: new AbortController().signal }
