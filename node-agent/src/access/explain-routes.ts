import type { HttpFace } from 'service-kit'
import { answers, describeRight, ExplainRequest, Explanation, Problem, type Explanation as ExplanationType, type HospitalId, type Scope } from 'specs'
import type { AccessControl } from './access-control.ts'
import { rightFor, type AccessDecision } from './decide-access.ts'
import type { Step, Subject } from './policy/decide-exam.ts'
import type { ExamFacts } from './policy/exam-facts.ts'
import type { AccessRule } from './policy/rule.ts'

export interface ExplainParts {
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  /** @throws {Problem} request/not-found, dimse/unknown-ae */
  readonly subjectOf: (who: ExplainRequest['who']) => Promise<Subject>
  readonly examOf: (exam: ExplainRequest['exam']) => Promise<ExamFacts | undefined>
  readonly ruleOf: (ruleId: string) => Promise<AccessRule | undefined>
}

/** "Why was I refused", for whoever keeps the rules: the very decision, step by step, in words. */
export function addExplainRoutes(face: HttpFace, { access, hospitalId, subjectOf, examOf, ruleOf }: ExplainParts): void {
  face.route(
    {
      method: 'POST',
      path: '/api/access/explain',
      summary: 'Whether somebody may do something to an exam, and why',
      allow: ['rule.manage', 'security.overview'],
      body: ExplainRequest,
      answer: Explanation,
    },
    async ({ body: { who, doing, exam } }) => {
      const facts = await examOf(exam)
      if (facts === undefined) throw new Problem('exam/unknown')
      const subject = await subjectOf(who)
      const asked = { owner: hospitalId, examId: facts.examId, facts, kept: 'in-hospital' } as const
      const { decision, steps } = await access.explain(subject, doing, asked, { asDevice: who.kind === 'dicom-node' })
      const told = await Promise.all(steps.map(async (step) => wordsOf(step, facts, 'ruleId' in step && step.ruleId !== undefined ? await ruleOf(step.ruleId) : undefined)))
      const { campus, department, area, modality, label, requestingDepartment, examId } = facts
      return {
        ...outcomeOf(decision),
        exam: { examId, campus, department, area, modality, label, requestingDepartment },
        scopes: [...(subject.scopes.get(rightFor[doing]) ?? [])],
        steps: told,
      }
    },
  )
}

function outcomeOf(decision: AccessDecision): Pick<ExplanationType, 'allowed' | 'because' | 'code' | 'title' | 'titleEn'> {
  if (decision.allowed) return { allowed: true, because: decision.because, code: null, title: null, titleEn: null }
  const { zh, en } = answers[decision.code]
  return { allowed: false, because: null, code: decision.code, title: zh, titleEn: en }
}

const scopeNames: Readonly<Record<keyof Scope, readonly [string, string, (exam: ExamFacts) => string]>> = {
  campuses: ['院区', 'campus', ({ campus }) => campus],
  departments: ['科室', 'department', ({ department }) => department],
  areas: ['区域标识', 'area', ({ area }) => area],
  modalities: ['检查类型', 'modality', ({ modality }) => modality],
  queues: ['队列', 'queue', () => ''],
}
const becauses = {
  'own-exam': ['本院检查', 'an exam of the hospital'],
  'own-department': ['本科室执行的检查', 'an exam of the own department'],
  treating: ['申请医生或申请科室', 'requested by this physician or department'],
  rule: ['访问规则允许', 'allowed by a rule'],
  'break-glass': ['紧急调阅', 'emergency access'],
} as const
const labelNames = { ordinary: ['普通', 'ordinary'], vip: ['VIP', 'VIP'], cadre: ['干部保健', 'cadre care'], staff: ['本院职工', 'own staff'], classified: ['涉密', 'classified'] } as const

function wordsOf(step: Step, exam: ExamFacts, rule: AccessRule | undefined): ExplanationType['steps'][number] {
  const [zh, en] = sentencesOf(step, exam, rule ? `（规则理由：${rule.reason}）` : '', rule ? ` (reason of the rule: ${rule.reason})` : '')
  return { step: step.step, passed: step.passed, zh, en, ...('ruleId' in step && step.ruleId !== undefined && { ruleId: step.ruleId }) }
}

function sentencesOf(step: Step, exam: ExamFacts, zhRule: string, enRule: string): [string, string] {
  switch (step.step) {
    case 'right': {
      const { zh, en } = describeRight(step.right)
      return step.passed ? [`具有权限“${zh}”`, `Holds the right “${en}”`] : [`没有权限“${zh}”`, `Does not hold the right “${en}”`]
    }
    case 'scope': {
      if (step.passed) return ['检查在权限的数据范围内', 'The exam lies within the scope of the right']
      const zh = step.misses.map((list) => `${scopeNames[list][0]}“${scopeNames[list][2](exam) || '未填写'}”`)
      const en = step.misses.map((list) => `${scopeNames[list][1]} “${scopeNames[list][2](exam) || 'not given'}”`)
      return [`检查的${zh.join('、')}不在权限的数据范围内`, `Outside the scope of the right: ${en.join(', ')}`]
    }
    case 'deny':
      return step.passed ? ['没有禁止规则', 'No rule denies it'] : [`被禁止规则拒绝${zhRule}`, `Denied by a rule${enRule}`]
    case 'only':
      return step.passed ? ['没有专属规则排除此人', 'Not reserved for others'] : [`该检查只允许指定人员查看${zhRule}`, `Reserved for others by a rule${enRule}`]
    case 'relation': {
      if (!step.because) return ['与患者没有诊疗关系，也没有允许规则', 'No treating relation, and no rule that allows it']
      const [zh, en] = becauses[step.because]
      return [`依据：${zh}${zhRule}`, `On the ground of: ${en}${enRule}`]
    }
    case 'clearance': {
      const [zh, en] = labelNames[step.label]
      if (!step.passed) return [`检查带有安全标记“${zh}”，此人没有查看资格`, `Labelled “${en}”, for which there is no clearance`]
      const ground = step.because ? becauses[step.because] : undefined
      return ground ? [`安全标记“${zh}”：${ground[0]}`, `Label “${en}”: ${ground[1]}`] : [`安全标记“${zh}”，可以查看`, `Label “${en}”, cleared`]
    }
  }
}
