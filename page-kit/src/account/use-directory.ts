import { computed, shallowRef } from 'vue'
import { useI18n } from 'vue-i18n'
import type { Scope } from 'specs'
import { usePage } from '../api/page.ts'
import type { Organisation, Role } from './rows.ts'

const scopeLists = ['campuses', 'departments', 'areas', 'modalities'] as const
export const modalities = ['CT', 'MR', 'DX', 'CR', 'DR', 'US', 'MG', 'XA', 'RF', 'NM', 'PT', 'ES', 'ECG', 'OT'] as const

/** Roles and organisation with their names: what the pages about people choose from and show. */
export function useDirectory() {
  const { api, session } = usePage()
  const { t, locale } = useI18n()
  const roles = shallowRef<readonly Role[]>([])
  const organisation = shallowRef<Organisation>({ campuses: [], departments: [], areas: [] })

  async function refresh() {
    organisation.value = await api.get<Organisation>('/api/organisation')
    if (session.may('role.manage', 'account.manage')) roles.value = await api.get<Role[]>('/api/roles')
  }
  const roleText = (role: Pick<Role, 'id' | 'zh' | 'en'>) => (locale.value === 'en' && role.en ? role.en : role.zh)
  const roleName = (id: string) => {
    const found = roles.value.find((role) => role.id === id)
    return found ? roleText(found) : id
  }
  const unitName = (kind: keyof Organisation, id: string | null | undefined) => (id ? (organisation.value[kind].find((unit) => unit.id === id)?.name ?? id) : '')
  /** `科室：放射科、超声科；检查类型：CT`, empty when everywhere. */
  const scopeText = (scope: Scope) =>
    scopeLists
      .filter((kind) => scope[kind] !== undefined)
      .map((kind) => {
        const names = (scope[kind] ?? []).map((id) => (kind === 'modalities' ? id : unitName(kind, id)))
        return t('scope.of', { what: t(`scope.${kind}`), names: names.join(t('list.and')) || t('scope.nowhere') })
      })
      .join('；')
  const sortedRoles = computed(() => [...roles.value].sort((a, b) => Number(b.builtIn) - Number(a.builtIn)))
  return { roles: sortedRoles, organisation, refresh, roleText, roleName, unitName, scopeText }
}

export type Directory = ReturnType<typeof useDirectory>
