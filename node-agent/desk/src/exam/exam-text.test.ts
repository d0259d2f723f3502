import { describe, expect, it } from 'vitest'
import { canConsult, examTimeText, personNameText, viewerAddress } from './exam-text.ts'

describe('an exam as a doctor reads it', () => {
  it('shows date and time of the study without its seconds', () => expect(examTimeText('20261122', '093005.120')).toBe('2026-11-22 09:30'))
  it('shows what there is when the time is missing', () => expect(examTimeText('20000101', '')).toBe('2000-01-01'))
  it('prefers the Chinese form of a person name', () => expect(personNameText('Wang^XiaoDong=王^小东')).toBe('王小东'))
  it('keeps a space between the parts of a Latin name', () => expect(personNameText('DOE^JANE')).toBe('DOE JANE'))
  it('opens the viewer at a key image within its task', () => {
    expect(viewerAddress('1.2', { taskId: 't', sopInstanceUid: '1.2.3' })).toBe('/viewer/?study=1.2&task=t&instance=1.2.3')
  })
  it('offers a consultation only when there are images to look at', () => { // CON-02
    expect(canConsult({ studyInstanceUid: null, instanceCount: 0 })).toBe(false)
  })
})
