export * from './database/index.ts'
export * from './log/index.ts'
