import { computed, onScopeDispose, ref } from 'vue'
import { useI18n } from 'vue-i18n'

/** A time that comes nearer, in words; empty once it has passed. */
export function useDeadline() {
  const { t } = useI18n()
  const until = ref(0)
  const now = ref(Date.now())
  const timer = setInterval(() => (now.value = Date.now()), 500)
  onScopeDispose(() => clearInterval(timer))
  const left = computed(() => {
    const seconds = Math.ceil((until.value - now.value) / 1000)
    if (seconds <= 0) return ''
    return seconds < 60 ? t('signIn.seconds', { s: seconds }) : t('signIn.minutes', { m: Math.floor(seconds / 60), s: seconds % 60 })
  })
  return { until, left }
}
