/** Returns one number of each of `count` equal stretches of the range from 0 to `total`; a seed repeats the choice. */
export function samplePoints(total: number, count: number, seed: string): number[] {
  const stretch = Math.max(1, total / count)
  const random = createRandom(seed)
  return Array.from({ length: Math.min(count, total) }, (_, index) =>
    Math.floor((index + random()) * stretch),
  )
}

/** Creates a generator of numbers from 0 to below 1 (mulberry32 over FNV-1a), which a seed repeats. */
function createRandom(seed: string): () => number {
  let state = 0x811c9dc5
  for (const character of seed) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
