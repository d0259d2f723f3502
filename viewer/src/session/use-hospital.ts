import { shallowRef } from 'vue'
import type { ApiClient } from 'page-kit'
import { NodeSession } from 'specs'

const Current = NodeSession.pick({ user: true, hospital: true })

/** At which hospital the reader is signed in; a holder is the same person only at the same hospital. */
export function useHospital(api: ApiClient) {
  const hospitalId = shallowRef('')
  const ready = api.get('/api/sessions/current').then(
    (current) => void (hospitalId.value = Current.parse(current).hospital.id),
    () => undefined, // the page then offers no verbs; a session that ended is dealt with by the client
  )
  return { hospitalId, ready }
}
