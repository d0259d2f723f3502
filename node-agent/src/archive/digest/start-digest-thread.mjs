import process from 'node:process'

// A worker thread of Node 20 knows no TypeScript, whatever the main thread runs by; Deno and Node from 22.18 need no help.
if (!process.features.typescript && !('Deno' in globalThis)) {
  const { register } = await import('tsx/esm/api')
  register()
}
await import('./digest-thread.ts')
