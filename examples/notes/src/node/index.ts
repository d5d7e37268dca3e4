export { findFreePort, type ListeningServer, listen } from './listen.ts'
export { type Example, ExampleError, runExample } from './run-example.ts'
export { serveWithWrangler, type WranglerOptions } from './wrangler.ts'
