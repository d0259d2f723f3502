export { createBackup, restoreBackup, verifyBackup, type BackupSource } from './backup.ts'
export { BackupManifest, BackupRepository } from './repository.ts'
export { tellTrail } from './told.ts'
