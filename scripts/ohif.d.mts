export function ensureOhif(): Promise<string>
