/** A rule as GET /api/access/rules answers it. */
export interface RuleRow {
  ruleId: string
  effect: 'allow' | 'deny' | 'only'
  subject: { kind: string; id?: string }
  object: { kind: string; id?: string }
  doings: string[] | null
  validFrom: number
  validUntil: number | null
  hours: { fromMinute: number; untilMinute: number; days: number[] } | null
  reason: string
  author: { id: string; name: string }
  createdAt: number
  replaces: string | null
  withdrawn: { at: number; by: { id: string; name: string }; because: string } | null
}

export type RuleShape = Pick<RuleRow, 'effect' | 'subject' | 'object' | 'doings'>

/** How the parts of a sentence are called; names come from the hospital's own lists. */
export interface SentenceWords {
  text: (key: string) => string
  subjectName: (kind: string, id: string) => string
  objectName: (kind: string, id: string) => string
  doingName: (doing: string) => string
  and: string
}

/** `不允许 王建华 调阅影像 患者“P1”`: a rule in the order that a person reads it. */
export function sentenceOf({ effect, subject, object, doings }: RuleShape, words: SentenceWords) {
  const { text, subjectName, objectName, doingName, and } = words
  const who = subject.id === undefined ? text(`rule.subjects.${subject.kind}`) : subjectName(subject.kind, subject.id)
  const what = object.id === undefined ? text(`rule.objects.${object.kind}`) : `${text(`rule.objects.${object.kind}`)}“${objectName(object.kind, object.id)}”`
  return { effect: text(`rule.effects.${effect}`), subject: who, doings: doings === null ? text('rule.anything') : doings.map(doingName).join(and), object: what }
}

/** 495 → `08:15` */
export const clockText = (minute: number): string => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
/** `08:15` → 495; a time picker gives nothing else. */
export const minuteOf = (clock: string): number => {
  const [hours = 0, minutes = 0] = clock.split(':').map(Number)
  return hours * 60 + minutes
}
