import { describe, expect, it } from 'vitest'
import { effectScope } from 'vue'
import { problemDetails, Problem, type LiveEvent } from 'specs'
import { useWithdrawal } from './use-withdrawal.ts'

function aPage(answer: () => Promise<unknown>) {
  let tell: (event: LiveEvent) => void = () => undefined
  const live = { onEvent: (listener: (event: LiveEvent) => void) => void (tell = listener) }
  const asked: string[] = []
  const get = (path: string) => (asked.push(path), answer())
  const { ended } = effectScope().run(() => useWithdrawal('1.2.3', { get } as never, live as never))!
  return { ended, asked, tell: (event: LiveEvent) => tell(event) }
}
const withdrawn = (study: string): LiveEvent => ({ type: 'grant', grantId: 'g', studyInstanceUids: [study], state: 'withdrawn' })
const refused = (code: 'access/grant-withdrawn' | 'service/unavailable') => () => Promise.reject(Object.assign(new Error(code), { details: problemDetails(new Problem(code)) }))
const settled = () => new Promise((resolve) => setTimeout(resolve))

describe('a study whose grant is taken back', () => {
  it('leaves the screen when the node refuses it', async () => {
    // FED-37
    const page = aPage(refused('access/grant-withdrawn'))
    page.tell(withdrawn('1.2.3'))
    await settled()
    expect(page.ended.value).toMatchObject({ details: { code: 'access/grant-withdrawn' } })
  })

  it('stays when something else still entitles to it, when another was meant, or while the node cannot be asked', async () => {
    const entitled = aPage(() => Promise.resolve([]))
    entitled.tell(withdrawn('1.2.3'))
    const other = aPage(refused('access/grant-withdrawn'))
    other.tell(withdrawn('9.9.9'))
    const away = aPage(refused('service/unavailable'))
    away.tell(withdrawn('1.2.3'))
    await settled()
    expect([entitled.ended.value, other.ended.value, away.ended.value]).toEqual([undefined, undefined, undefined])
    expect(other.asked).toEqual([])
  })
})
