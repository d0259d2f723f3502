import { attributeByKeyword, type IndexedValues } from '../attributes.ts'
import type { Coerce, Coercion, LandedContent } from '../archive.ts'
import { changedFile } from '../../dicom/header-change.ts'
import { keywordOf } from '../../dicom/dictionary.ts'
import { readHeader } from '../../dicom/header-reading.ts'
import { normalise, type Normalised } from './normalise.ts'
import type { NormalisationRules } from './rule-book.ts'

/** What a correction in force asks of images that come later. */
export interface StandingCorrections {
  /** Whether any correction speaks of the study: at once. */
  concern(studyInstanceUid: string): boolean
  /** New values by tag for an instance that says these values, and under which name they are traced. */
  valuesFor(values: IndexedValues): { readonly values: ReadonlyMap<number, string>; readonly by: string } | undefined
}

/** Rules first, then the study's correction, as it would have been judged had it come before; one new file for both. */
export function headerCoercion({ rules, corrections }: { readonly rules: NormalisationRules; readonly corrections: StandingCorrections }): Coerce {
  return (landed) => {
    const { values, source } = landed
    const applying = rules.for(source, values['modality'] ?? '')
    if (applying.length === 0 && !corrections.concern(values['studyInstanceUid'] ?? '')) return undefined
    return coerce(landed, applying, corrections)
  }
}

async function coerce({ values, source, open }: LandedContent, applying: ReturnType<NormalisationRules['for']>, corrections: StandingCorrections): Promise<Coercion | undefined> {
  const file = await open()
  const header = await readHeader(file)
  const normalised = applying.length === 0 ? undefined : normalise(header, applying)
  const correction = corrections.valuesFor({ ...values, ...indexed(normalised) })
  if (!normalised && !correction) return undefined
  const made = changedFile(file, header, {
    values: new Map([...(normalised?.values ?? []), ...(correction?.values ?? [])]),
    readAs: normalised?.readAs,
    reason: correction ? 'CORRECT' : 'COERCE',
    by: correction?.by ?? 'RULES',
    source: source.peer,
    at: Date.now(),
  })
  return made && { ...made, by: [...(normalised?.by ?? []), ...(correction ? [correction.by] : [])].join(', ') }
}

/** As the index would hold them. */
function indexed(normalised: Normalised | undefined): IndexedValues {
  return Object.fromEntries(
    [...(normalised?.values ?? [])].flatMap(([tag, text]) => {
      const member = attributeByKeyword(keywordOf(tag) ?? '')?.member
      return member === undefined ? [] : [[member, text]]
    }),
  )
}
