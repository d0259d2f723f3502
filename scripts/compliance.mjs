// npm run compliance: every file, test, command and requirement row that docs/compliance and SECURITY.md name as evidence exists.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run.mjs'

const documents = ['SECURITY.md', ...(existsSync(join(root, 'docs', 'compliance')) ? readdirSync(join(root, 'docs', 'compliance')).filter((name) => name.endsWith('.md')).map((name) => `docs/compliance/${name}`) : [])]

/** What a control list says of each control; everything else is a slip of the pen. */
export const states = ['满足', '部分满足', '未满足', '医院职责']

/**
 * @param {string} text of one document
 * @param {{ hasFile: (path: string) => boolean, fileText: (path: string) => string, scripts: ReadonlySet<string>, rows: ReadonlySet<string> }} known
 * @returns {string[]}
 */
export function faultsOfDocument(text, { hasFile, fileText, scripts, rows }) {
  const faults = []
  for (const [, token = ''] of text.matchAll(/`([^`\n]+)`/g)) {
    const command = /^npm run ([\w:-]+)/.exec(token)?.[1]
    if (command !== undefined) {
      if (!scripts.has(command)) faults.push(`no such command: ${token}`)
      continue
    }
    // A path of the repository, perhaps with the name of a test: `folder/x.test.ts § refuses …`.
    const [path = '', test] = token.split(' § ')
    if (!/^[\w.@-]+(?:\/[\w.@-]+)+\/?$|^[\w-]+\.(?:md|json|yml)$/.test(path)) continue
    if (!hasFile(path)) faults.push(`no such file: ${path}`)
    else if (test !== undefined && !fileText(path).includes(test)) faults.push(`${path} has no test "${test}"`)
  }
  for (const [row] of text.matchAll(/\b(?:FED|AGT|CON|COR|ARC|ING|SEC|LOC|REG|ULS|OPS|CLN)-\d{2}\b/g)) if (!rows.has(row)) faults.push(`no such requirement: ${row}`)
  for (const line of text.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim())
    if (!/^8\.\d/.test(cells[1] ?? '')) continue
    const [, clause, , state = '', how = '', evidence = ''] = cells
    if (!states.includes(state)) faults.push(`${clause}: "${state}" is none of ${states.join('、')}`)
    else if (state === '满足' && !evidence.includes('`')) faults.push(`${clause}: 满足 without evidence`)
    else if (how === '') faults.push(`${clause}: says nothing`)
  }
  return faults
}

/** @returns {number} exit code */
export function checkCompliance() {
  const known = {
    hasFile: (path) => existsSync(join(root, path)),
    fileText: (path) => readFileSync(join(root, path), 'utf8'),
    scripts: new Set(Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts)),
    rows: new Set(readFileSync(join(root, 'docs', 'requirement-rows.txt'), 'utf8').split(/\s+/)),
  }
  let faults = 0
  for (const document of documents) {
    for (const fault of faultsOfDocument(readFileSync(join(root, document), 'utf8'), known)) {
      console.error(`✗ ${document}: ${fault}`)
      faults += 1
    }
  }
  return faults === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) process.exitCode = checkCompliance()
