export { kekSourceOf, VaultConfig, vaultSettingsOf, type KekSource } from './kek.ts'
export { isSealed, Vault, type VaultOptions } from './vault.ts'
export { readSecretFile, writeSecretFile } from './secret-file.ts'
