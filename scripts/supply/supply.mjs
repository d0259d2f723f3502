// What we are built from, judged from the lock file alone: it works without a network and without node_modules.

/** Licences under which the product may be passed on; expressions are taken apart (SPDX). */
export const allowedLicences = new Set([
  'MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0', 'Zlib', 'Unlicense', 'WTFPL', 'CC0-1.0', 'CC-BY-4.0', 'Python-2.0', 'BSL-1.0',
  // Weak copyleft, used as unchanged libraries: lightningcss builds the pages; libvips is linked dynamically by sharp.
  'MPL-2.0', 'LGPL-3.0-or-later',
]) // prettier-ignore

/**
 * Packages whose entry in the lock names no licence; looked up in their own files once.
 * @type {Readonly<Record<string, string>>}
 */
export const licencesByHand = {
  // Their package.json has the older form, "licenses": [{ "type": "MIT" }], which npm does not copy into the lock.
  busboy: 'MIT',
  dicer: 'MIT',
  memorystream: 'MIT',
  rechoir: 'MIT',
  streamsearch: 'MIT',
  // Their README says so.
  'humanize-number': 'MIT',
  only: 'MIT',
}

/** @param {string} expression SPDX, with AND, OR and parentheses */
export function isAllowedLicence(expression, allowed = allowedLicences) {
  const text = expression.trim().replace(/^\((.*)\)$/, '$1')
  if (/\bAND\b/.test(text)) return text.split(/\s+AND\s+/).every((part) => isAllowedLicence(part, allowed))
  if (/\bOR\b/.test(text)) return text.split(/\s+OR\s+/).some((part) => isAllowedLicence(part, allowed))
  return allowed.has(text.replace(/[()]/g, ''))
}

/** @typedef {{ version?: string, integrity?: string, resolved?: string, license?: string, link?: boolean, dev?: boolean, hasInstallScript?: boolean }} Locked */
/** @typedef {{ packages: Record<string, Locked> }} Lock */

/** Every package that comes from a registry; the product's own workspaces are links. @param {Lock} lock */
export function packagesOf(lock) {
  return Object.entries(lock.packages)
    .filter(([path, { link }]) => path.includes('node_modules/') && !link)
    .map(([path, entry]) => ({ ...entry, path, name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length) })) // the name it is imported by; an alias has another at the registry
}

/**
 * @param {Lock} lock
 * @param {{ allowScripts?: Record<string, boolean>, overrides?: Record<string, unknown> }} manifest the root package.json
 * @param {Readonly<Record<string, string>>} byHand
 * @returns {string[]} sentences for whoever changed the lock; none when all is well
 */
export function faultsOf(lock, manifest, byHand = licencesByHand) {
  const faults = []
  for (const { path, name, version, integrity, resolved, license, hasInstallScript } of packagesOf(lock)) {
    const which = `${name}@${version} (${path})`
    if (!integrity?.startsWith('sha512-')) faults.push(`${which}: no SHA-512 of its content in the lock`)
    if (resolved !== undefined && !/^https:\/\/[^/]+\/.*\.tgz$/.test(resolved)) faults.push(`${which}: comes from ${resolved}, not from a registry`)
    const licence = license ?? byHand[name]
    if (licence === undefined) faults.push(`${which}: no licence is known`)
    else if (!isAllowedLicence(licence)) faults.push(`${which}: licence ${licence} is not on the list`)
    if (hasInstallScript && manifest.allowScripts?.[name] !== true) faults.push(`${which}: runs a script when it is installed and is not in allowScripts`)
  }
  for (const name of Object.keys(manifest.allowScripts ?? {}))
    if (!packagesOf(lock).some((each) => each.name === name && each.hasInstallScript)) faults.push(`allowScripts names ${name}, which runs no script`)
  for (const [name, wanted] of Object.entries(manifest.overrides ?? {})) {
    const others = packagesOf(lock).filter((each) => each.name === name && each.version !== wanted)
    for (const { version, path } of others) faults.push(`overrides pins ${name} to ${String(wanted)}, ${path} is ${version}`)
  }
  return faults
}

/** Packages that are there in more than one version: no fault, but worth a look. @param {Lock} lock */
export function severalVersions(lock) {
  const versions = new Map()
  for (const { name, version } of packagesOf(lock)) versions.set(name, new Set([...(versions.get(name) ?? []), version]))
  return [...versions].filter(([, found]) => found.size > 1).map(([name, found]) => ({ name, versions: [...found].sort() }))
}

/** A bill of materials without what differs from run to run. @param {Record<string, any>} sbom as `npm sbom` writes it */
export function reproducible(sbom) {
  const { serialNumber: _serialNumber, metadata, ...rest } = sbom
  const { timestamp: _timestamp, component, ...about } = metadata
  // npm names the product by the folder that it lies in.
  const product = { ...component, name: String(component?.['bom-ref'] ?? '').split('@')[0] }
  const byRef = (a, b) => (a['bom-ref'] ?? a.ref).localeCompare(b['bom-ref'] ?? b.ref, 'en')
  return { ...rest, metadata: { ...about, component: product }, components: [...sbom.components].sort(byRef), dependencies: [...sbom.dependencies].sort(byRef) }
}

/**
 * @returns {string[]} what stands in only one of the two
 * @param {Record<string, any>} sbom @param {Lock} lock
 */
export function differencesOf(sbom, lock) {
  const nameOf = ({ group, name, version }) => `${group ? `${group}/` : ''}${name}@${version}`
  const workspaces = Object.entries(lock.packages).filter(([path]) => path !== '' && !path.includes('node_modules/'))
  const own = new Set(workspaces.map(([path, { version }]) => `${path.split('/').at(-1)}@${version}`))
  const locked = new Set(packagesOf(lock).map(nameOf))
  const listed = new Set(sbom.components.map(nameOf).filter((each) => !own.has(each)))
  return [...[...locked].filter((each) => !listed.has(each)).map((each) => `missing in the SBOM: ${each}`), ...[...listed].filter((each) => !locked.has(each)).map((each) => `not in the lock: ${each}`)]
}
