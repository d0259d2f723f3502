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

/** 张三丰 → 张**, `Wang XiaoDong` → `W**`: what lists and the hub may show without the sealed request. */
export function maskedLabel(name: string): string {
  const characters = [...name.trim()]
  if (characters.length === 0) return '*'
  const isHan = /\p{Script=Han}/u.test(characters[0] ?? '')
  return `${characters[0]}${'*'.repeat(isHan ? Math.min(2, Math.max(1, characters.length - 1)) : 2)}`
}
