interface Locked { version?: string; integrity?: string; resolved?: string; license?: string; link?: boolean; dev?: boolean; hasInstallScript?: boolean }
export interface Lock { packages: Record<string, Locked> }
export const allowedLicences: Set<string>
export const licencesByHand: Readonly<Record<string, string>>
export function isAllowedLicence(expression: string, allowed?: Set<string>): boolean
export function packagesOf(lock: Lock): ({ path: string; name: string } & Locked)[]
export function faultsOf(lock: Lock, manifest: { allowScripts?: Record<string, boolean>; overrides?: Record<string, unknown> }, byHand?: Readonly<Record<string, string>>): string[]
export function severalVersions(lock: Lock): { name: string; versions: string[] }[]
export function reproducible(sbom: Record<string, unknown>): Record<string, unknown>
export function differencesOf(sbom: { components: { group?: string; name: string; version: string }[] }, lock: Lock): string[]
