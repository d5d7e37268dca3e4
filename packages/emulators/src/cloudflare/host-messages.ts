import type { WireScript } from './worker/wire.ts'

/** A message of the emulator to the process that holds workerd. */
export type ToHost =
  | {
      readonly kind: 'start'
      readonly directory: string
      /** Removed when the process ends. */
      readonly temporary: string | undefined
      readonly secret: string
    }
  | { readonly kind: 'script'; readonly question: number; readonly script: WireScript | null }

/** A message of that process to the emulator. */
export type FromHost =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'failed'; readonly problem: string }
  | { readonly kind: 'script'; readonly question: number; readonly id: string }
