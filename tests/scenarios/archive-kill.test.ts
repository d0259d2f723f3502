import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { killWhileReceiving } from '../../node-agent/tests/interop/kill-points.ts'

describe('an archive that is killed fifty times while modalities send', () => {
  it('has every instance that it answered with success, and no file that nobody knows', async () => {
    // ARC-06, ARC-22: a shorter story is node-agent/tests/interop/archive-kill.test.ts
    const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-kill-'))
    expect((await killWhileReceiving(folder, 50)).stored).toBeGreaterThanOrEqual(100)
    await rm(folder, { recursive: true, force: true })
  }, 600_000)
})
