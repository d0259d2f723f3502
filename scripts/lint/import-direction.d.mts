export function workspaceOf(path: string): string | undefined
export function forbiddenImport(from: string, specifier: string): string | undefined
