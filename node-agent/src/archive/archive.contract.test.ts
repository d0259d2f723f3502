import { archiveContract } from './archive.contract.ts'

archiveContract('SQLite', async () => undefined)
