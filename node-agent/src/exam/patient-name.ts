import { maskName } from 'specs'

/**
 * Person Name (PS3.5 6.2.1): up to three groups divided by `=` (alphabetic, ideographic, phonetic), each with up to five
 * components divided by `^`.
 */
export function displayName(personName: string): string {
  const [alphabetic = '', ideographic = ''] = personName.split('=')
  const isIdeographic = ideographic.trim() !== '' || /\p{Script=Han}/u.test(alphabetic)
  const group = ideographic.trim() !== '' ? ideographic : alphabetic
  const parts = group.split('^').map((part) => part.trim())
  return parts.filter((part) => part !== '').join(isIdeographic ? '' : ' ')
}

/** 张三丰 → 张**, `Wang XiaoDong` → `W*** X***`: what the hub and other hospitals may show without the sealed request (L2). */
export const maskedLabel = (name: string): string => maskName(name, 'L2') || '*'
