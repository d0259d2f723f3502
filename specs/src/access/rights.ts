import { z } from 'zod'

/**
 * 三员分立 (GB/T 22239 8.1.4.2 d): `system` keeps accounts and configuration, `security` keeps roles and rules, `audit`
 * reads the trail. No role and no account holds rights of two of them; everything else is `work`.
 */
export type Duty = 'work' | 'system' | 'security' | 'audit'

export interface RightDescription {
  readonly zh: string
  readonly en: string
  readonly duty: Duty
  /** Asks for a second factor where the hospital demands one, and is refused while the audit trail cannot be written. */
  readonly privileged?: true
}

/** Every right there is. A key is part of our interface and stays; roles are sets of these, made by the hospital. */
export const rights = {
  // exams and images
  'exam.list': { zh: '查看检查列表', en: 'List exams', duty: 'work' },
  'exam.read': { zh: '查看检查与报告', en: 'Read exams and reports', duty: 'work' },
  'exam.register': { zh: '登记检查', en: 'Register exams', duty: 'work' },
  'exam.change': { zh: '修改检查资料', en: 'Change exams', duty: 'work' },
  'exam.delete': { zh: '删除检查', en: 'Delete exams', duty: 'work', privileged: true },
  'image.view': { zh: '调阅影像', en: 'View images', duty: 'work' },
  'image.store': { zh: '上传影像', en: 'Store images', duty: 'work' },
  'image.export': { zh: '导出影像', en: 'Export images', duty: 'work', privileged: true },
  'patient.unmask': { zh: '查看未脱敏的患者信息', en: 'See unmasked patient data', duty: 'work' },
  'patient.reidentify': { zh: '还原去标识化导出中的患者身份', en: 'Find out who a pseudonym stands for', duty: 'work', privileged: true },
  'patient.consent': { zh: '登记患者授权', en: 'Record patient consent', duty: 'work' },
  'label.vip': { zh: '查看 VIP 患者', en: 'Exams labelled VIP', duty: 'work' },
  'label.cadre': { zh: '查看干部保健患者', en: 'Exams labelled cadre care', duty: 'work' },
  'label.staff': { zh: '查看本院职工患者', en: 'Exams of own staff', duty: 'work' },
  'label.classified': { zh: '查看涉密患者', en: 'Exams labelled classified', duty: 'work' },
  'exam.break-glass': { zh: '紧急调阅', en: 'Emergency access', duty: 'work' },
  // queues and reports
  'queue.capture': { zh: '采集影像（检查队列）', en: 'Capture images of a queue', duty: 'work' },
  'report.write': { zh: '书写报告', en: 'Write reports', duty: 'work' },
  'report.review': { zh: '审核报告', en: 'Review reports', duty: 'work' },
  'report.revise': { zh: '审核后修改报告', en: 'Revise reviewed reports', duty: 'work' },
  'report.print': { zh: '打印报告', en: 'Print reports', duty: 'work' },
  'report.unlock': { zh: '解锁报告', en: 'Unlock reports', duty: 'work', privileged: true },
  // consultation
  'consult.apply': { zh: '申请会诊', en: 'Apply for consultations', duty: 'work' },
  'consult.process': { zh: '处理会诊', en: 'Process consultations', duty: 'work' },
  'region.search': { zh: '跨院调阅', en: 'Search other hospitals', duty: 'work' },
  'grant.manage': { zh: '管理对外授权', en: 'Manage grants to other hospitals', duty: 'work', privileged: true },
  // administration
  'device.watch': { zh: '查看与测试影像设备', en: 'See and test imaging devices', duty: 'work' },
  'account.manage': { zh: '管理用户账号', en: 'Manage accounts', duty: 'system', privileged: true },
  'organisation.manage': { zh: '管理院区与科室', en: 'Manage campuses and departments', duty: 'system' },
  'system.configure': { zh: '系统配置', en: 'Configure the system', duty: 'system', privileged: true },
  'system.monitor': { zh: '查看运行状况', en: 'See how the system runs', duty: 'system' },
  'region.manage': { zh: '管理区域成员', en: 'Manage the region', duty: 'system', privileged: true },
  'region.watch': { zh: '查看区域任务', en: 'Watch the region', duty: 'work' },
  'role.manage': { zh: '管理角色与权限', en: 'Manage roles and rights', duty: 'security', privileged: true },
  'rule.manage': { zh: '管理访问规则', en: 'Manage access rules', duty: 'security', privileged: true },
  'break-glass.review': { zh: '复核紧急调阅', en: 'Review emergency access', duty: 'security' },
  'certificate.manage': { zh: '管理证书', en: 'Manage certificates', duty: 'security', privileged: true },
  'security.overview': { zh: '查看安全概况', en: 'See the security overview', duty: 'security' },
  'audit.read': { zh: '查询审计', en: 'Read the audit trail', duty: 'audit' },
  'audit.export': { zh: '导出审计', en: 'Export the audit trail', duty: 'audit', privileged: true },
  // region-wide views
  'audit.cross-viewing': { zh: '互阅审计（不含患者身份）', en: 'Cross-viewing audit without identities', duty: 'work' },
  'statistics.read': { zh: '查看统计（不含患者身份）', en: 'Statistics without identities', duty: 'work' },
} as const satisfies Record<string, RightDescription>

export type Right = keyof typeof rights
export const Right = z.enum(Object.keys(rights) as [Right, ...Right[]])

export const describeRight = (right: Right): RightDescription => rights[right]

/** Where a right holds. A list that is absent means everywhere; an empty one means nowhere. */
export const Scope = z.object({
  campuses: z.array(z.string().max(32)).optional(),
  departments: z.array(z.string().max(32)).optional(),
  /** 区域标识, for example 总院超声 (REG-21, ULS-18). */
  areas: z.array(z.string().max(32)).optional(),
  modalities: z.array(z.string().max(16)).optional(),
  queues: z.array(z.string().max(32)).optional(),
})
export type Scope = z.infer<typeof Scope>

/** What one role, given directly or through a group, entitles a person to. */
export const Entitlement = z.object({ role: z.string(), group: z.string().optional(), rights: z.array(Right), scope: Scope })
export type Entitlement = z.infer<typeof Entitlement>

export interface BuiltInRole {
  readonly id: string
  readonly zh: string
  readonly en: string
  readonly rights: readonly Right[]
}

const reading: readonly Right[] = ['exam.list', 'exam.read', 'image.view', 'report.print']

/** Roles that every node begins with; a hospital copies and adapts them, these themselves stay. */
export const nodeRoles: readonly BuiltInRole[] = [
  {
    id: 'doctor',
    zh: '影像医生',
    en: 'Radiologist',
    rights: [...reading, 'exam.change', 'image.store', 'image.export', 'patient.unmask', 'patient.consent', 'exam.break-glass', 'consult.apply', 'region.search', 'report.write', 'queue.capture'],
  }, // prettier-ignore
  { id: 'expert', zh: '会诊专家', en: 'Consulting expert', rights: [...reading, 'image.export', 'consult.process', 'region.search', 'exam.break-glass'] },
  { id: 'reviewer', zh: '审核医生', en: 'Reviewing radiologist', rights: [...reading, 'report.write', 'report.review', 'report.revise', 'patient.unmask'] },
  { id: 'clinician', zh: '临床医生', en: 'Clinician', rights: [...reading, 'patient.unmask', 'exam.break-glass', 'region.search'] },
  { id: 'technician', zh: '技师', en: 'Technician', rights: [...reading, 'exam.register', 'exam.change', 'image.store', 'image.export', 'queue.capture', 'device.watch'] },
  { id: 'registrar', zh: '登记员', en: 'Registrar', rights: ['exam.list', 'exam.read', 'exam.register', 'patient.unmask', 'patient.consent'] },
  { id: 'records', zh: '病案管理员', en: 'Records keeper', rights: ['exam.list', 'exam.read', 'exam.delete', 'grant.manage', 'patient.consent', 'patient.reidentify'] },
  { id: 'admin', zh: '系统管理员', en: 'System administrator', rights: ['exam.list', 'exam.read', 'exam.register', 'account.manage', 'organisation.manage', 'system.configure', 'system.monitor'] },
  { id: 'security-admin', zh: '安全管理员', en: 'Security administrator', rights: ['role.manage', 'rule.manage', 'break-glass.review', 'certificate.manage', 'security.overview'] },
  { id: 'audit-admin', zh: '审计管理员', en: 'Audit administrator', rights: ['audit.read', 'audit.export'] },
] // prettier-ignore

export const hubRoles: readonly BuiltInRole[] = [
  { id: 'region-admin', zh: '区域管理员', en: 'Regional administrator', rights: ['region.manage', 'region.watch', 'account.manage', 'organisation.manage', 'system.configure', 'system.monitor'] },
  { id: 'observer', zh: '观察员', en: 'Observer', rights: ['region.watch'] },
  { id: 'authority', zh: '卫生主管部门', en: 'Health authority', rights: ['statistics.read', 'audit.cross-viewing', 'region.watch'] },
  { id: 'security-admin', zh: '安全管理员', en: 'Security administrator', rights: ['role.manage', 'rule.manage', 'certificate.manage', 'security.overview'] },
  { id: 'audit-admin', zh: '审计管理员', en: 'Audit administrator', rights: ['audit.read', 'audit.export', 'audit.cross-viewing'] },
] // prettier-ignore

const idsOf = (roles: readonly BuiltInRole[]) => roles.map(({ id }) => id) as [string, ...string[]]
/** Identifiers of the built-in roles; a hospital's own roles have others. */
export const NodeRole = z.enum(idsOf(nodeRoles))
export const HubRole = z.enum(idsOf(hubRoles))

/** The administrative duties that a set of rights touches; more than one is against 三员分立. */
export function dutiesOf(held: readonly Right[]): readonly Exclude<Duty, 'work'>[] {
  const duties = new Set(held.map((right) => describeRight(right).duty))
  return (['system', 'security', 'audit'] as const).filter((duty) => duties.has(duty))
}
