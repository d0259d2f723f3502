// npm run access-matrix: writes docs/compliance/access-matrix.md from the tables of this folder.
import { writeFileSync } from 'node:fs'
import { matrixPage, printMatrix } from './support/matrix-page.ts'

writeFileSync(matrixPage, printMatrix())
process.stdout.write(`${matrixPage}\n`)
