import { defineConfig } from 'vitest/config'

// Projects with different numbers of workers must not share a group; groups run one after the other.
const common = (group: number) => ({ environment: 'node', testTimeout: 20_000, hookTimeout: 60_000, sequence: { groupOrder: group } }) as const

// Kinds of tests: beside the code; against real peers; attacks on one shared region; several processes. Those that start
// servers mostly wait for them, so two files at once use two cores better than one; more would starve each other.
// `endurance` takes minutes of both cores for each file; `npm run test:endurance` runs it, `npm test` says that it was left out.
const endurance = ['tests/scenarios/rolling-update.test.ts', 'tests/scenarios/long-outage.test.ts', 'tests/browser/modalities.test.ts', 'tests/scenarios/archive-kill.test.ts']
const twoAtOnce = { fileParallelism: true, maxWorkers: 2, minWorkers: 1 } as const
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common(0),
          name: 'unit',
          include: ['{specs,pki,service-kit,hub,node-agent,viewer,regional-console,page-kit}/src/**/*.test.ts', 'node-agent/desk/src/**/*.test.ts', 'scripts/**/*.test.ts'],
        },
      },
      {
        test: {
          ...common(1),
          name: 'interop',
          include: ['{specs,pki,service-kit,hub,node-agent,viewer,regional-console,page-kit}/tests/**/*.test.ts', 'node-agent/desk/tests/**/*.test.ts', 'tests/interop/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          ...twoAtOnce,
        },
      },
      {
        // One region for all attacks and the matrix of who may what.
        test: { ...common(2), name: 'security', include: ['tests/security/**/*.test.ts'], globalSetup: ['tests/security/support/global-setup.ts'], testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false },
      },
      {
        test: { ...common(3), name: 'scenarios', include: ['tests/scenarios/**/*.test.ts', 'tests/browser/**/*.test.ts'], exclude: endurance, testTimeout: 240_000, hookTimeout: 240_000, ...twoAtOnce },
      },
      {
        test: { ...common(4), name: 'endurance', include: endurance, testTimeout: 240_000, hookTimeout: 240_000, fileParallelism: false },
      },
    ],
  },
})
