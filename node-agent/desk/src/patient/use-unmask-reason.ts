import { ElMessageBox } from 'element-plus'
import { useI18n } from 'vue-i18n'

/** 查看完整患者信息 (SEC-06). @returns a question that gives the reason, or undefined when the person thought better of it. */
export function useUnmaskReason(): () => Promise<string | undefined> {
  const { t } = useI18n()
  return async () => {
    const answer = await ElMessageBox.prompt(t('unmask.hint'), t('unmask.title'), {
      inputPlaceholder: `${t('unmask.reason')}，${t('unmask.reasonHint')}`,
      inputPattern: /\S{2,}/,
      inputErrorMessage: t('list.reasonNeeded'),
      confirmButtonText: t('unmask.show'),
      cancelButtonText: t('list.cancel'),
    }).catch(() => undefined)
    return answer?.value.trim()
  }
}
