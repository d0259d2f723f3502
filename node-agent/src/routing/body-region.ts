/** Words by which body part, description and protocol name a region of the body: Defined Terms of PS3.16 Annex L, common English, Chinese. */
const regions: readonly (readonly [region: string, words: RegExp])[] = [
  ['head', /\b(?:head|skull|brain|cranial|neuro|iac|orbit\w*|sinus\w*|face|facial)\b|头|颅|脑|眼眶|鼻窦|面部|垂体/i],
  ['neck', /\b(?:neck|thyroid|carotid|larynx)\b|颈部|甲状腺|颈动脉|喉/i],
  ['chest', /\b(?:chest|thorax|thoracic|lungs?|ribs?|mediastinum)\b|胸部|胸片|肺|肋|纵隔|^胸(?!椎)/i],
  ['breast', /\b(?:breasts?|mammo\w*)\b|乳腺|乳房/i],
  ['heart', /\b(?:heart|cardiac|coronary)\b|心脏|冠脉|冠状动脉|心肌/i],
  ['abdomen', /\b(?:abdomen|abdominal|liver|kidneys?|renal|pancreas|spleen|gallbladder|biliary)\b|腹|肝|肾|胰|脾|胆/i],
  ['pelvis', /\b(?:pelvis|pelvic|bladder|prostate|uterus|ovar(?:y|ies))\b|盆|膀胱|前列腺|子宫|卵巢/i],
  ['spine', /\b(?:[ctl]?spine|spinal|cervical|lumbar|sacrum)\b|脊|颈椎|胸椎|腰椎|骶/i],
  ['shoulder', /\bshoulder\b|肩/i],
  ['elbow', /\belbow\b|肘/i],
  ['hand', /\b(?:hand|wrist|finger|thumb)\b|手(?!术)|腕|指/i],
  ['hip', /\bhip\b|髋/i],
  ['knee', /\b(?:knee|patella)\b|膝|髌/i],
  ['foot', /\b(?:foot|feet|ankle|toe|calcaneus)\b|足|踝|趾|跟骨/i],
  ['leg', /\b(?:leg|thigh|femur|tibia|fibula)\b|腿|股骨|胫|腓/i],
  ['arm', /\b(?:arm|humerus|forearm|radius|ulna)\b|上肢|肱骨|前臂|桡骨|尺骨/i],
  ['whole-body', /\b(?:whole ?body|wholebody)\b|全身/i],
]

/** Which regions of the body the texts name; none when they do not say. */
export function bodyRegionsOf(texts: readonly string[]): ReadonlySet<string> {
  return new Set(regions.filter(([, words]) => texts.some((text) => words.test(text))).map(([region]) => region))
}

/** Whether two exams show something in common; undefined when one of them does not say. A whole body shows everything. */
export function isSameRegion(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean | undefined {
  if (a.size === 0 || b.size === 0) return undefined
  return a.has('whole-body') || b.has('whole-body') || [...a].some((region) => b.has(region))
}
