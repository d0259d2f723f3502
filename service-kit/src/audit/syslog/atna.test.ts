import { describe, expect, it } from 'vitest'
import { AuditAction, describeAction, type AuditRow } from 'specs'
import { atnaMessage } from './atna.ts'
import { framed, syslogMessage } from './message.ts'

const aRow = (change: Partial<AuditRow>): AuditRow =>
  ({
    seq: 1, eventId: 'e', at: Date.parse('2026-11-22T01:02:03.004Z'), recordedAt: 1, node: 'yunxi', hospital: 'yunxi', action: 'image.view', outcome: 'success',
    actor: { kind: 'user', id: 'u1', name: '王<医生>&"', roles: ['doctor'], sessionId: 's', sourceIp: '10.0.0.9' },
    object: { type: 'study', id: '1.2.3', patientKey: 'abcdef' }, title: describeAction(change.action ?? 'image.view').zh, titleEn: describeAction(change.action ?? 'image.view').en, hash: '', ...change,
  }) as AuditRow // prettier-ignore

describe('audit messages in the DICOM schema', () => {
  it('tells an opened study as PS3.15 A.5.3.6 has it: who, from where, which study, whose', () => {
    // SEC-08: IHE ATNA
    const xml = atnaMessage(aRow({}))
    expect(xml).toContain('<EventIdentification EventActionCode="R" EventDateTime="2026-11-22T01:02:03.004Z" EventOutcomeIndicator="0"><EventID csd-code="110103" codeSystemName="DCM" originalText="DICOM Instances Accessed"/>')
    expect(xml).toContain('UserID="u1" UserName="王&lt;医生&gt;&amp;&quot;" AlternativeUserID="s" UserIsRequestor="true" NetworkAccessPointID="10.0.0.9" NetworkAccessPointTypeCode="2"')
    expect(xml).toContain('ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3"><ParticipantObjectIDTypeCode csd-code="110180" codeSystemName="DCM"')
    expect(xml).toContain('ParticipantObjectID="abcdef" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1"')
  })

  it('has, for every action there is, the parts that the schema demands, in its order', () => {
    for (const action of AuditAction.options) {
      const xml = atnaMessage(aRow({ action }))
      expect(xml, action).toMatch(/<AuditMessage><EventIdentification [^>]*EventOutcomeIndicator="0">.*<EventID csd-code="1101\d\d".*<\/EventIdentification>(?:<ActiveParticipant [^>]*UserIsRequestor="(?:true|false)".*?)+<AuditSourceIdentification [^>]*AuditSourceID="yunxi"[^>]*>.*<\/AuditSourceIdentification>(?:<ParticipantObjectIdentification .*<\/ParticipantObjectIdentification>)+<\/AuditMessage>$/s)
    }
  })

  it('says who was refused as a minor failure, and leaves out characters that XML forbids', () => {
    const xml = atnaMessage(aRow({ outcome: 'refused', code: 'access/no-grant', action: 'access.refused', object: { type: 'study', id: 'a\u0001b' } }))
    expect(xml).toContain('EventOutcomeIndicator="4"')
    expect(xml).toContain('<EventOutcomeDescription>access/no-grant</EventOutcomeDescription>')
    expect(xml).toContain('ParticipantObjectID="a b"')
  })

  it('goes in a frame of RFC 5425 with a header of RFC 5424', () => {
    const message = syslogMessage(aRow({}))
    expect(message.toString()).toMatch(/^<85>1 2026-11-22T01:02:03\.004Z \S+ lianpian-yunxi \d+ DICOM\+RFC3881 - \ufeff<\?xml/)
    expect(framed(message).toString()).toMatch(new RegExp(`^${message.length} <85>1 `))
  })
})
