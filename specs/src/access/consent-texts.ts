/** What a patient agrees to (个人信息保护法 第二十三条, 第二十九条: separate consent to passing on sensitive data). Versions are never changed. */
export const consentTexts = {
  '2026-11': {
    zh: '本人同意上述持有医院将本授权范围内的检查影像与报告，提供给接收医院的诊疗人员用于所列目的。本人知悉可随时在持有医院或登记医院撤回授权，撤回后不再提供。',
    en: 'I agree that the hospitals holding my exams give images and reports within this scope to the clinicians of the receiving hospital for the purposes named. I know that I may withdraw at any time, at the holding hospital or where this was recorded.',
  },
} as const

export type ConsentTextVersion = keyof typeof consentTexts
export const CURRENT_CONSENT_TEXT: ConsentTextVersion = '2026-11'
