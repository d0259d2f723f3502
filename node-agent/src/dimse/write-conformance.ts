import { writeFileSync } from 'node:fs'
import { conformanceStatement } from './conformance.ts'

writeFileSync(new URL('../../CONFORMANCE.md', import.meta.url), conformanceStatement())
