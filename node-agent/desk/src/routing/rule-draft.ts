import { RoutingRuleInput, type RoutingRule } from 'specs'

/** A rule as the form has it: the fields of every action at once. */
export interface RuleDraft extends Pick<RoutingRuleInput, 'name' | 'enabled' | 'event' | 'quietSeconds' | 'when' | 'windows' | 'priority' | 'giveUpHours'> {
  kind: RoutingRuleInput['action']['kind']
  nodeIds: string[]
  seriesModalities: string[]
  commitment: boolean
  sourceNodeId: string
  method: 'move' | 'get'
  maxStudies: number
  maxYears: number
  sameBodyPart: boolean
  unknownBodyPart: boolean
  /** One in a line: `CT=CT,MR`. */
  modalityMap: string
}

export function draftOf(rule: RoutingRule | undefined): RuleDraft {
  const { name, enabled, event, quietSeconds, when, windows, priority, giveUpHours, action } = rule ?? RoutingRuleInput.parse({ name: '-', event: 'study-received', action: { kind: 'send', nodeIds: ['-'] } })
  const select = action.kind === 'send' ? undefined : action.select
  return {
    name: rule ? name : '',
    enabled, event, quietSeconds, windows, priority, giveUpHours,
    when: { ...when },
    kind: action.kind,
    nodeIds: action.kind === 'fetch-priors' || !rule ? [] : [...action.nodeIds],
    seriesModalities: action.kind === 'send' ? [...action.seriesModalities] : [],
    commitment: action.kind === 'send' && action.commitment,
    sourceNodeId: action.kind === 'fetch-priors' ? action.sourceNodeId : '',
    method: action.kind === 'fetch-priors' ? action.method : 'move',
    maxStudies: select?.maxStudies ?? 3,
    maxYears: select?.maxYears ?? 5,
    sameBodyPart: select?.sameBodyPart ?? true,
    unknownBodyPart: select?.unknownBodyPart ?? true,
    modalityMap: mapText(select?.modalityMap ?? {}),
  } // prettier-ignore
}

/** @returns what the service takes; undefined while something is missing. */
export function ruleOf(draft: RuleDraft): RoutingRuleInput | undefined {
  const { kind, nodeIds, seriesModalities, commitment, sourceNodeId, method, maxStudies, maxYears, sameBodyPart, unknownBodyPart, modalityMap, ...rest } = draft
  const select = { maxStudies, maxYears, sameBodyPart, unknownBodyPart, modalityMap: parseMap(modalityMap) }
  const action = kind === 'send' ? { kind, nodeIds, seriesModalities, commitment } : kind === 'send-priors' ? { kind, nodeIds, select } : { kind, sourceNodeId, method, select }
  if (kind === 'fetch-priors' && sourceNodeId === '') return undefined
  return RoutingRuleInput.safeParse({ ...rest, action }).data
}

export function parseMap(text: string): Record<string, string[]> {
  const lines = text.split(/[\n;；]/).map((line) => line.split(/[=：:]/).map((part) => part.trim().toUpperCase()))
  return Object.fromEntries(lines.filter(([from, to]) => from && to).map(([from = '', to = '']) => [from, to.split(/[,，、\s]+/).filter(Boolean)]))
}
export const mapText = (map: Readonly<Record<string, readonly string[]>>): string => Object.entries(map).map(([from, to]) => `${from}=${to.join(',')}`).join('\n') // prettier-ignore
