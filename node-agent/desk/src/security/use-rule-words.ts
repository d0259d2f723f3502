import { computed, shallowRef } from 'vue'
import { useI18n } from 'vue-i18n'
import { doingTexts } from 'specs'
import { useDirectory, usePage, type Group, type Person } from 'page-kit'
import { sentenceOf, type RuleShape, type SentenceWords } from './rule-sentence.ts'

/** People, groups, roles and places with their names, and rules as sentences made of them. */
export function useRuleWords() {
  const { api } = usePage()
  const { t, locale } = useI18n()
  const directory = useDirectory()
  const people = shallowRef<readonly Person[]>([])
  const groups = shallowRef<readonly Group[]>([])

  /** Whoever may only see the overview may not list people: sentences then show identifiers. */
  async function refresh() {
    const nothing = () => undefined
    await Promise.all([
      directory.refresh().catch(nothing),
      api.get<{ rows: Person[] }>('/api/accounts', { limit: 500 }).then(({ rows }) => (people.value = rows), nothing),
      api.get<Group[]>('/api/groups').then((found) => (groups.value = found), nothing),
    ])
  }
  const doingName = (doing: string) => doingTexts[doing as keyof typeof doingTexts]?.[locale.value === 'en' ? 'en' : 'zh'] ?? doing
  const words = computed<SentenceWords>(() => ({
    text: t,
    and: t('list.and'),
    doingName,
    subjectName: (kind, id) => {
      if (kind === 'user') return people.value.find((person) => person.id === id)?.name ?? id
      if (kind === 'role') return `${t('rule.subjects.role')}“${directory.roleName(id)}”`
      if (kind === 'group') return `${t('rule.subjects.group')}“${groups.value.find((group) => group.id === id)?.name ?? id}”`
      return `${t(`rule.subjects.${kind}`)}“${id}”`
    },
    objectName: (kind, id) => {
      if (kind === 'label') return t(`rule.labels.${id}`)
      const list = { campus: 'campuses', department: 'departments', area: 'areas' }[kind] as 'campuses' | 'departments' | 'areas' | undefined
      return list ? directory.unitName(list, id) : id
    },
  }))
  const sentence = (rule: RuleShape) => sentenceOf(rule, words.value)
  return { directory, people, groups, refresh, sentence, doingName }
}

export type RuleWords = ReturnType<typeof useRuleWords>
