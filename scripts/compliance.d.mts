export const states: string[]
export function faultsOfDocument(text: string, known: { hasFile: (path: string) => boolean; fileText: (path: string) => string; scripts: ReadonlySet<string>; rows: ReadonlySet<string> }): string[]
export function checkCompliance(): number
