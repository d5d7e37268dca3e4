import type { WireScript } from './worker/wire.ts'

/** What the emulator tells the process that holds workerd. */
export type ToHost =
  | {
      readonly kind: 'start'
      readonly directory: string
      /** Removed when the process ends. */
      readonly temporary: string | undefined
      readonly secret: string
    }
  | { readonly kind: 'script'; readonly question: number; readonly script: WireScript | null }

/** What it is told. */
export type FromHost =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'failed'; readonly problem: string }
  | { readonly kind: 'script'; readonly question: number; readonly id: string }
