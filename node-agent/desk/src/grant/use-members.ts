import { readonly, shallowRef } from 'vue'
import type { ApiClient } from 'page-kit'
import type { MemberName } from 'specs'

/** The other hospitals of the region by name. */
export function useMembers(api: ApiClient) {
  const members = shallowRef<readonly MemberName[]>([])
  void api.get<MemberName[]>('/api/cross-hospital/hospitals').then((found) => (members.value = found), () => undefined)
  const nameOf = (id: string) => members.value.find((member) => member.id === id)?.name ?? id
  return { members: readonly(members), nameOf }
}

/** The end of that day at this desk; an authorisation "until the 3rd" holds on the 3rd. */
export const endOfDay = (date: string): number => new Date(`${date}T23:59:59.999`).getTime()

export function dayAfter(days: number, now = new Date()): string {
  const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + days)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`
}
