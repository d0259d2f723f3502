export const root: string
export function onPath(program: string): string | undefined
export function run(program: string, args: string[], options?: object): Promise<number>
export function runNode(args: string[], options?: object): Promise<number>
export function requireNode(): void
export function ensurePackages(): Promise<void>
export function ensureSystemPackages(wanted: { programs?: string[]; files?: string[]; apt: string[] }): Promise<void>
