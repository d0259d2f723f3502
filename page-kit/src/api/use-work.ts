import { ElMessage } from 'element-plus'
import { ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { problemText } from '../language/problem-text.ts'

/** Something a person has pressed: one at a time, with a word when it is done or refused. @returns whether it was done. */
export function useWork() {
  const { locale } = useI18n()
  const busy = ref(false)
  const refusal = ref('')

  /** `inForm`: the refusal is shown beside the form, not over the page. */
  async function work(todo: () => Promise<unknown>, { done, inForm = false }: { done?: string; inForm?: boolean } = {}): Promise<boolean> {
    busy.value = true
    refusal.value = ''
    try {
      await todo()
      if (done) ElMessage.success(done)
      return true
    } catch (error) {
      const text = problemText(error, locale.value)
      if (inForm) refusal.value = text
      else ElMessage.error(text)
      return false
    } finally {
      busy.value = false
    }
  }
  return { busy, refusal, work }
}
