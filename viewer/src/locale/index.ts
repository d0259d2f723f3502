import { signInMessages } from 'page-kit'
import { createI18n } from 'vue-i18n'
import en from './en.ts'
import zh from './zh-CN.ts'

export const languages = ['zh-CN', 'en'] as const
export type Language = (typeof languages)[number]
const STORED = 'lianpian-language' // the hospital's other pages keep it under the same name

/** Chinese unless the reader chose English here before. */
export function createLanguage() {
  const stored = localStorage.getItem(STORED)
  return createI18n({ legacy: false, locale: stored === 'en' ? 'en' : 'zh-CN', fallbackLocale: 'zh-CN', messages: { 'zh-CN': { ...signInMessages['zh-CN'], ...zh }, en: { ...signInMessages.en, ...en } } })
}

export function keepLanguage(language: Language): void {
  localStorage.setItem(STORED, language)
  document.documentElement.lang = language
}
