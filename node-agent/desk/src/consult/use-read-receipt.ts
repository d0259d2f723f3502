import { watch, type ShallowRef } from 'vue'
import type { Session } from 'page-kit'
import type { ConsultDetail } from 'specs'

/** 申请方已阅: a doctor of the requester has read the opinion once it was on this screen. Waits for a command on its way. */
export function useReadReceipt(consult: ShallowRef<ConsultDetail | undefined>, session: Session, send: () => Promise<void>): void {
  watch(
    () => consult.value?.side === 'submitter' && consult.value.state === 'returned' && consult.value.pending === null && session.may('consult.apply'),
    (isShown) => {
      if (isShown) void send()
    },
  )
}
