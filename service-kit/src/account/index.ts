export { Accounts, createAccounts, type AccountsOptions, type NewAccount, type Session } from './accounts.ts'
export { signInLimits, type SignInLimits } from './sign-in-guard.ts'
