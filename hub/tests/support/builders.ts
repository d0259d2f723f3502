import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { Actor, ConsultCommand, HospitalId, MessageId, RegionId, type ConsultFacts, type PartyId, type SealedContent, TaskId } from 'specs'
import type { z } from 'zod'
import { decide } from '../../src/consult/decide.ts'
import type { Circumstances, CommandOf, Decision, Task } from '../../src/consult/task.ts'
import { Registry, type Member } from '../../src/hospital/registry.ts'

/** Builders say only what matters; everything else is a plain chest CT sent from A to C. */

export const hospital = (id: string): HospitalId => HospitalId.parse(id)
export const A = hospital('hospital-a')
export const B = hospital('hospital-b')
export const C = hospital('hospital-c')
export const centre = hospital('data-centre')
export const regionId = RegionId.parse('yunling')
export const study = '1.2.840.113619.2.55.3.1'

export function aMember(id: HospitalId, over: Partial<Member> = {}): Member {
  return {
    id,
    name: `医院 ${id}`,
    kinds: ['submitter', 'processor'],
    taskTypes: ['consultation'],
    flowModes: ['push', 'pull'],
    joined: true,
    revoked: false,
    ...over,
  }
}

/** A submits, B does both, C processes, and there is a data centre: the region of the demo. */
export function aRegistry(changes: Record<string, Partial<Member>> = {}): Registry {
  const members = [
    aMember(A, { kinds: ['submitter'] }),
    aMember(B),
    aMember(C, { kinds: ['processor'] }),
    aMember(centre, { kinds: ['data-centre'], taskTypes: [] }),
  ]
  return new Registry(members.map((member) => ({ ...member, ...changes[member.id] })))
}

export function anActor(hospitalId: HospitalId = A, userId = 'li'): Actor {
  return Actor.parse({ hospitalId, userId, name: `医生 ${userId}` })
}

export const aTaskId = (): TaskId => TaskId.parse(randomUUID())
export const aMessageId = (): MessageId => MessageId.parse(randomUUID())

/** An envelope whose header names its readers; nobody here opens it. */
export function sealedFor(...audience: readonly string[]): z.infer<typeof SealedContent> {
  const header = {
    v: 1,
    id: randomUUID(),
    audience,
    sealedAt: 1,
    alg: 'SM2-SM3+SM4-CTR-HMAC-SM3',
    recipients: audience.map((party) => ({ party: party as PartyId, certificateSerial: '01', encryptedKek: 'AAAA', wrappedKey: 'AAAA' })),
    iv: 'AAAA',
    certificateChain: ['leaf'],
  }
  return JSON.stringify({
    header: Buffer.from(JSON.stringify(header)).toString('base64'),
    ciphertext: 'AAAA',
    mac: 'AAAA',
    signature: 'AAAA',
  })
}

type Type = ConsultCommand['type']
const usual: { [T in Type]: () => Record<string, unknown> } = {
  submit: () => ({ facts: someFacts(), sealed: sealedFor(B, C) }),
  claim: () => ({ expectedRevision: 1 }),
  release: () => ({ reason: '' }),
  decline: () => ({ reason: '设备维护' }),
  start: () => ({}),
  sign: () => ({ sealed: sealedFor(A) }),
  return: () => ({}),
  read: () => ({}),
  print: () => ({}),
  cancel: () => ({ reason: '患者转院' }),
  'images-arrived': () => ({ instanceCount: 60, sizeBytes: 31_000_000 }),
}

/** A command as parsed from the wire, so that a builder cannot make what the wire forbids. */
export function aCommand<T extends Type>(type: T, over: Record<string, unknown> = {}): CommandOf<T> {
  const by = type === 'submit' || type === 'cancel' || type === 'return' || type === 'read' || type === 'print' ? anActor(A) : anActor(C, 'wang')
  const base = { type, commandId: randomUUID(), taskId: randomUUID(), by, at: 1_000 }
  return ConsultCommand.parse({ ...base, ...usual[type](), ...over }) as CommandOf<T>
}

export function someFacts(over: Record<string, unknown> = {}, grant: Record<string, unknown> = {}): Record<string, unknown> & ConsultFacts {
  return {
    taskType: 'consultation',
    mode: 'push',
    target: { kind: 'hospital', hospitalId: C },
    imagesTo: 'processor',
    modality: 'CT',
    bodyPart: 'CHEST',
    urgency: 'routine',
    patientLabel: '张*',
    studyInstanceUids: [study],
    instanceCount: 60,
    sizeBytes: 31_000_000,
    grant: {
      grant: {
        grantId: randomUUID(),
        owner: A,
        grantees: [B, C, centre],
        studyInstanceUids: [study],
        purpose: 'consultation',
        notBefore: 0,
        expires: 1_000_000,
        ...grant,
      },
      signature: 'AAAA',
      certificateChain: ['leaf'],
    },
    ...over,
  } as Record<string, unknown> & ConsultFacts
}

export const toPool = (over: Record<string, unknown> = {}, grant: Record<string, unknown> = {}) =>
  someFacts({ target: { kind: 'pool' }, ...over }, grant)

/** Decides as the hub would for whoever the command names, at 2 000 ms unless told. */
export function decideNow(task: Task | undefined, command: ConsultCommand, over: Partial<Circumstances> = {}): Decision {
  return decide(task, command, { sender: command.by.hospitalId, registry: aRegistry(), regionId, now: 2_000, ...over })
}

/** The task after these commands, each of which must be recorded. */
export function aTask(...commands: readonly ConsultCommand[]): Task {
  let task: Task | undefined
  for (const command of [aCommand('submit'), ...commands]) {
    const decision = decideNow(task, command)
    if (decision.kind !== 'recorded') throw new Error(`${command.type} changed nothing`)
    task = decision.task
  }
  if (!task) throw new Error('no commands')
  return task
}
