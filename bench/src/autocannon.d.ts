/** The little of autocannon that is used here; it ships no types. */
declare module 'autocannon' {
  interface Options {
    url: string
    connections: number
    /** Seconds. */
    duration: number
    requests: { path: string; headers: Record<string, string> }[]
  }
  interface Result {
    requests: { average: number; total: number }
    non2xx: number
  }
  export default function autocannon(options: Options): Promise<Result>
}
