import { Buffer } from 'node:buffer'
import type { DatasetEditor, NewElement } from '../dataset-rewriter.ts'
import type { ElementHead } from '../dataset-scanner.ts'
import type { TransferSyntax } from '../transfer-syntax.ts'

/** What compressing with loss has done to the pixels (PS3.3 C.7.6.1.1.5). */
export interface Loss {
  /** Defined terms of (0028,2114). */
  readonly method: string
  /** Uncompressed bytes over compressed ones; unknown for what came compressed. */
  readonly ratio?: number
}

/** What the header has to say about pixels in their new form; a member that is absent changes nothing. */
export interface PixelForm {
  readonly photometricInterpretation?: string
  readonly planarConfiguration?: number
  readonly loss?: Loss
  /** A method of loss that the stored syntax gives away, for headers that do not speak of it. */
  readonly lossBefore?: string
  /** It stays in place of the original and says so. */
  readonly derived?: boolean
}

const IMAGE_TYPE = 0x00080008
const LOSSY = 0x00282110
const LOSSY_RATIO = 0x00282112
const LOSSY_METHOD = 0x00282114
const asked = new Set([IMAGE_TYPE, LOSSY, LOSSY_RATIO, LOSSY_METHOD])
/** Extended offset table, its lengths, and the length of all fragments: they describe fragments that are no more. */
const offsetTables = new Set([0x7fe00001, 0x7fe00002, 0x7fe00003])

/** Keeps the header as it is but for what the pixels' new form demands; `form` is told when the first frame is done. */
export class HeaderEdits implements DatasetEditor {
  form: PixelForm = {}
  readonly #target: TransferSyntax
  readonly #found = new Map<number, string>()

  constructor(target: TransferSyntax) {
    this.#target = target
  }

  element({ tag, depth }: ElementHead): 'keep' | 'drop' | 'ask' {
    if (depth > 0) return 'keep'
    if (offsetTables.has(tag)) return 'drop'
    return asked.has(tag) ? 'ask' : 'keep'
  }

  value({ tag }: ElementHead, bytes: Buffer): Buffer {
    this.#found.set(tag, bytes.toString('latin1').trim())
    return bytes
  }

  sequence(): 'into' {
    return 'into'
  }

  added(): readonly NewElement[] {
    const { photometricInterpretation, planarConfiguration, loss, lossBefore, derived } = this.form
    const isToldLossy = this.#found.get(LOSSY) === '01'
    const losses = [...(lossBefore === undefined || isToldLossy ? [] : [{ method: lossBefore }]), ...(loss ? [loss] : [])]
    return [
      ...(photometricInterpretation === undefined ? [] : [text(0x00280004, 'CS', photometricInterpretation)]),
      ...(planarConfiguration === undefined ? [] : [{ tag: 0x00280006, vr: 'US', value: this.#short(planarConfiguration) }]),
      ...(losses.length > 0 ? this.#lossy(losses, isToldLossy) : []),
      ...(derived && loss ? this.#derivation(loss) : []),
    ]
  }

  #short(value: number): Buffer {
    const bytes = Buffer.alloc(2)
    if (this.#target.bigEndian) bytes.writeUInt16BE(value)
    else bytes.writeUInt16LE(value)
    return bytes
  }

  /** Each compression adds its own ratio and method to those before it. */
  #lossy(losses: readonly Loss[], isToldLossy: boolean): NewElement[] {
    const all = (tag: number, values: readonly string[]) => [...(isToldLossy ? [this.#found.get(tag) ?? ''] : []), ...values].filter((value) => value !== '').join('\\')
    const ratios = all(LOSSY_RATIO, losses.map(({ ratio }) => ratio?.toFixed(2) ?? ''))
    return [text(LOSSY, 'CS', '01'), ...(ratios === '' ? [] : [text(LOSSY_RATIO, 'DS', ratios)]), text(LOSSY_METHOD, 'CS', all(LOSSY_METHOD, losses.map(({ method }) => method)))]
  }

  /** PS3.3 C.7.6.1.1.2, C.7.6.1.1.3. */
  #derivation({ method, ratio }: Loss): NewElement[] {
    const [, ...rest] = (this.#found.get(IMAGE_TYPE) ?? '').split('\\')
    return [
      text(IMAGE_TYPE, 'CS', ['DERIVED', ...(rest.length > 0 ? rest : ['PRIMARY'])].join('\\')),
      text(0x00082111, 'ST', `Lossy compression ${method}${ratio === undefined ? '' : `, ratio ${ratio.toFixed(2)}:1`}`),
      { tag: 0x00089215, vr: 'SQ', appends: true, value: [code('113040', 'Lossy Compression')] },
    ]
  }
}

const text = (tag: number, vr: string, value: string): NewElement => ({ tag, vr, value: Buffer.from(value, 'latin1') })

/** A code of PS3.16 Annex D. */
const code = (value: string, meaning: string): NewElement[] => [text(0x00080100, 'SH', value), text(0x00080102, 'SH', 'DCM'), text(0x00080104, 'LO', meaning)]
