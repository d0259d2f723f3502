import * as account from '../account/texts.ts'
import * as audit from '../audit/texts.ts'
import * as security from '../security/texts.ts'
import * as session from '../session/texts.ts'

/** The words of this workspace's own pages; every application merges them with its own. */
export const kitMessages = {
  'zh-CN': { ...session.zhCN, ...account.zhCN, ...audit.zhCN, ...security.zhCN },
  en: { ...session.en, ...account.en, ...audit.en, ...security.en },
}
/** Only what signing in needs. */
export const signInMessages = { 'zh-CN': session.zhCN, en: session.en }
