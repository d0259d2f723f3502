import { describe, expect, it } from 'vitest'
import { serverConfigText, supportsSyncInterval } from './server-config.ts'

describe('the configuration of nats-server', () => {
  it('asks for a disk sync of every message only from versions that know the setting', () => {
    expect(['2.10.0', '2.15.3', '3.0.1'].map(supportsSyncInterval)).toEqual([true, true, true])
    expect(['2.9.10', '2.9.25', undefined, 'unknown'].map(supportsSyncInterval)).toEqual([false, false, false, false])
    const config = { host: '127.0.0.1', port: 4400, storeDir: '/s', operatorJwt: 'O', systemAccount: 'A', preloadFile: 'p.conf' }
    expect(serverConfigText({ ...config, serverVersion: '2.10.4' })).toContain('sync_interval: always')
    expect(serverConfigText({ ...config, serverVersion: '2.9.10' })).not.toContain('sync_interval')
  })
})
