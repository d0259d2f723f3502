export const fixturesSource: string
export const fixturesFolder: string
export function readManifest(): Record<string, string>[]
/** Unpacks the named sets (all when none is named) and tells the folder that holds `<set>/<file>`. */
export function unpackFixtures(...sets: string[]): string
