import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { root } from '../run.mjs'
import { compiledProgram } from './compiled.ts'

let folder: string
beforeEach(() => {
  mkdirSync(join(root, '.cache'), { recursive: true })
  folder = mkdtempSync(join(root, '.cache', 'compiled-test-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const put = (name: string, ...lines: string[]) => {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), lines.join('\n'))
}
const compiled = () => compiledProgram(relative(root, join(folder, 'src/main.ts')), join(folder, 'programs'))
const output = (program: string) => execFileSync(process.execPath, [program], { encoding: 'utf8' }).trim()
const builds = () => readdirSync(join(folder, 'programs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('main.mjs'))

describe('a service put into one file', () => {
  it('does what its sources do, with our packages and those of npm, and finds its pages where they are', async () => {
    put('src/main.ts', `import { HUB } from 'specs'`, `import { z } from 'zod'`, `import { pages } from './deep/pages.ts'`, `console.log(z.string().parse(HUB), pages)`)
    put('src/deep/pages.ts', `export const pages: string = new URL('../../dist', import.meta.url).href`)
    expect(output(await compiled())).toBe(`hub ${pathToFileURL(join(folder, 'dist')).href}`)
  })

  it('starts its worker threads without tsx', async () => {
    put('src/main.ts', `import { Worker } from 'node:worker_threads'`, `new Worker(new URL('./start-sum.mjs', import.meta.url), { execArgv: [] }).once('message', (sum) => console.log(sum))`)
    put('src/start-sum.mjs', `if (!process.features.typescript) throw new Error('would load tsx')`, `await import('./sum.ts')`)
    put('src/sum.ts', `import { parentPort } from 'node:worker_threads'`, `parentPort?.postMessage(40 + (2 as number))`)
    expect(output(await compiled())).toBe('42')
  })

  it('is made anew when one of its sources has changed, and only then', async () => {
    put('src/main.ts', `import { word } from './word.ts'`, `console.log(word)`)
    put('src/word.ts', `export const word = 'before'`)
    expect(await compiled()).toBe(await compiled())
    expect(builds()).toHaveLength(1)
    put('src/word.ts', `export const word = 'after'`)
    utimesSync(join(folder, 'src/word.ts'), new Date(), new Date(Date.now() + 5_000))
    expect(output(await compiled())).toBe('after')
    expect(builds()).toHaveLength(2)
  })
})
