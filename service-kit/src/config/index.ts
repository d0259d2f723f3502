export { ConfigError, loadConfig, type LoadConfigOptions } from './load-config.ts'
