import { z } from 'zod'

/** What an action is about: the pages group by it, and the ATNA message type follows from it. */
export type AuditCategory = 'session' | 'account' | 'policy' | 'view' | 'search' | 'exam' | 'consult' | 'archive' | 'transfer' | 'export' | 'region' | 'config' | 'audit' | 'system'

export interface ActionDescription {
  readonly zh: string
  readonly en: string
  readonly category: AuditCategory
}

/** Every action that the trail knows. A key is part of our interface and stays; add yours here. */
export const auditActions = {
  // sessions
  'session.sign-in': { zh: '登录', en: 'Sign in', category: 'session' },
  'session.sign-out': { zh: '退出', en: 'Sign out', category: 'session' },
  'session.end': { zh: '会话被终止', en: 'Session ended', category: 'session' },
  'session.second-factor': { zh: '第二因素认证', en: 'Second factor', category: 'session' },
  'session.lock': { zh: '账号锁定', en: 'Account locked', category: 'session' },
  // accounts, organisation
  'account.create': { zh: '新建账号', en: 'Create account', category: 'account' },
  'account.change': { zh: '修改账号', en: 'Change account', category: 'account' },
  'account.disable': { zh: '停用账号', en: 'Disable account', category: 'account' },
  'account.enable': { zh: '启用账号', en: 'Enable account', category: 'account' },
  'account.import': { zh: '批量导入账号', en: 'Import accounts', category: 'account' },
  'account.password': { zh: '修改密码', en: 'Change password', category: 'account' },
  'account.second-factor': { zh: '变更第二因素', en: 'Change second factor', category: 'account' },
  'account.roles': { zh: '变更账号角色', en: 'Change roles of an account', category: 'account' },
  'account.service': { zh: '变更接口账号', en: 'Change service account', category: 'account' },
  'organisation.change': { zh: '变更院区或科室', en: 'Change campuses or departments', category: 'account' },
  // roles, rules, certificates
  'role.change': { zh: '变更角色', en: 'Change role', category: 'policy' },
  'role.delete': { zh: '删除角色', en: 'Delete role', category: 'policy' },
  'group.change': { zh: '变更用户组', en: 'Change group', category: 'policy' },
  'rule.change': { zh: '变更访问规则', en: 'Change access rule', category: 'policy' },
  'rule.delete': { zh: '删除访问规则', en: 'Delete access rule', category: 'policy' },
  'label.change': { zh: '变更安全标记', en: 'Change security label', category: 'policy' },
  'break-glass.open': { zh: '紧急调阅', en: 'Break glass', category: 'policy' },
  'break-glass.review': { zh: '复核紧急调阅', en: 'Review break glass', category: 'policy' },
  'access.refused': { zh: '访问被拒绝', en: 'Access refused', category: 'policy' },
  'grant.issue': { zh: '签发授权', en: 'Issue grant', category: 'policy' },
  'grant.withdraw': { zh: '收回授权', en: 'Withdraw grant', category: 'policy' },
  'consent.record': { zh: '登记患者授权', en: 'Record consent', category: 'policy' },
  'consent.withdraw': { zh: '撤回患者授权', en: 'Withdraw consent', category: 'policy' },
  'consent.code': { zh: '使用患者授权码', en: 'Use consent code', category: 'policy' },
  'certificate.issue': { zh: '签发证书', en: 'Issue certificate', category: 'policy' },
  'certificate.renew': { zh: '更新证书', en: 'Renew certificate', category: 'policy' },
  'certificate.revoke': { zh: '吊销证书', en: 'Revoke certificate', category: 'policy' },
  'key.use': { zh: '使用密钥', en: 'Use key', category: 'policy' },
  'key.rotate': { zh: '更换密钥', en: 'Rotate key', category: 'policy' },
  // looking
  'exam.list': { zh: '查看检查列表', en: 'List exams', category: 'search' },
  'exam.search': { zh: '检索检查', en: 'Search exams', category: 'search' },
  'study.search': { zh: '检索影像', en: 'Search studies', category: 'search' },
  'exam.read': { zh: '查看检查', en: 'Read exam', category: 'view' },
  'image.view': { zh: '调阅影像', en: 'View images', category: 'view' },
  'report.read': { zh: '查看报告', en: 'Read report', category: 'view' },
  'patient.unmask': { zh: '查看完整患者信息', en: 'Unmask patient data', category: 'view' },
  'patient.reidentify': { zh: '还原假名患者身份', en: 'Find out who a pseudonym stands for', category: 'view' },
  'region.search': { zh: '跨院检索患者', en: 'Search other hospitals for a patient', category: 'search' },
  'patient.search': { zh: '检索患者', en: 'Search patients', category: 'search' },
  // changing
  'exam.register': { zh: '登记检查', en: 'Register exam', category: 'exam' },
  'exam.change': { zh: '修改检查', en: 'Change exam', category: 'exam' },
  'exam.delete': { zh: '删除检查', en: 'Delete exam', category: 'exam' },
  'worklist.schedule': { zh: '预约检查步骤', en: 'Schedule procedure step', category: 'exam' },
  'worklist.change': { zh: '修改工作列表条目', en: 'Change worklist item', category: 'exam' },
  'worklist.cancel': { zh: '取消工作列表条目', en: 'Cancel worklist item', category: 'exam' },
  'patient.change': { zh: '修改患者资料', en: 'Change patient', category: 'exam' },
  'report.write': { zh: '书写报告', en: 'Write report', category: 'exam' },
  'report.review': { zh: '审核报告', en: 'Review report', category: 'exam' },
  'report.issue': { zh: '签发报告', en: 'Issue report', category: 'exam' },
  'report.unlock': { zh: '解锁报告', en: 'Unlock report', category: 'exam' },
  'report.print': { zh: '打印报告', en: 'Print report', category: 'export' },
  // consultation
  'consult.apply': { zh: '申请会诊', en: 'Apply for consultation', category: 'consult' },
  'consult.step': { zh: '会诊流程操作', en: 'Consultation step', category: 'consult' },
  'consult.sign': { zh: '签署会诊意见', en: 'Sign opinion', category: 'consult' },
  'consult.print': { zh: '打印会诊意见', en: 'Print opinion', category: 'export' },
  // archive and transfer (FED-34)
  'study.acquire': { zh: '设备采集', en: 'Acquisition at the device', category: 'archive' },
  'study.fetch': { zh: '主动获取影像', en: 'Fetch studies from a PACS', category: 'archive' },
  'study.import': { zh: '导入影像', en: 'Import images', category: 'archive' },
  'study.archive': { zh: '影像存档', en: 'Archive images', category: 'archive' },
  'study.delete': { zh: '删除影像', en: 'Delete images', category: 'archive' },
  'study.compress': { zh: '压缩存储影像', en: 'Compress stored images', category: 'archive' },
  'study.correct': { zh: '更正影像归属', en: 'Correct whose images they are', category: 'archive' },
  'study.correct-undo': { zh: '撤销影像归属更正', en: 'Undo a correction of images', category: 'archive' },
  'study.confirm': { zh: '确认影像归属', en: 'Confirm whose images they are', category: 'archive' },
  'study.commit': { zh: '存储承诺', en: 'Storage commitment', category: 'archive' },
  'study.move': { zh: '移动影像存储位置', en: 'Move images between stores', category: 'archive' },
  'study.restore': { zh: '恢复影像', en: 'Restore images', category: 'archive' },
  'study.destroy': { zh: '彻底销毁影像', en: 'Destroy images for good', category: 'archive' },
  'archive.check': { zh: '影像完整性巡检', en: 'Check of stored files', category: 'archive' },
  'archive.damage': { zh: '发现影像缺失或损坏', en: 'Files found missing or damaged', category: 'archive' },
  'study.store': { zh: '上传影像', en: 'Store images', category: 'archive' },
  'transfer.send': { zh: '影像外发', en: 'Send images', category: 'transfer' },
  'transfer.receive': { zh: '影像接收', en: 'Receive images', category: 'transfer' },
  'transfer.forward': { zh: '影像转发', en: 'Forward images', category: 'transfer' },
  'transfer.cancel': { zh: '取消传输', en: 'Cancel transfer', category: 'transfer' },
  'image.export': { zh: '导出影像', en: 'Export images', category: 'export' },
  'image.export-end': { zh: '影像导出结束', en: 'Export of images ended', category: 'export' },
  'report.export': { zh: '导出报告', en: 'Export reports', category: 'export' },
  // network
  'dicom.association': { zh: 'DICOM 关联', en: 'DICOM association', category: 'session' },
  'interface.call': { zh: '接口调用', en: 'Interface call', category: 'session' },
  // region
  'region.join': { zh: '加入区域', en: 'Join region', category: 'region' },
  'region.switch': { zh: '切换区域平台', en: 'Switch region', category: 'region' },
  'hospital.create': { zh: '登记医院', en: 'Register hospital', category: 'region' },
  'hospital.change': { zh: '修改医院', en: 'Change hospital', category: 'region' },
  'hospital.join-code': { zh: '生成加入码', en: 'Make join code', category: 'region' },
  'hospital.join': { zh: '医院加入', en: 'Hospital joined', category: 'region' },
  'hospital.revoke': { zh: '吊销医院', en: 'Revoke hospital', category: 'region' },
  // configuration and the system itself
  'config.change': { zh: '修改配置', en: 'Change configuration', category: 'config' },
  'config.dicom-settings': { zh: '修改 DICOM 服务参数', en: 'Change DICOM settings', category: 'config' },
  'config.receiving-node': { zh: '修改接收节点', en: 'Change receiving node', category: 'config' },
  'config.routing': { zh: '修改路由与预取规则', en: 'Change routing rules', category: 'config' },
  'config.acquisition': { zh: '修改主动获取任务', en: 'Change acquisition jobs', category: 'config' },
  'config.parameters': { zh: '下发或应用平台参数', en: 'Parameters of the platform', category: 'config' },
  'config.compression': { zh: '修改压缩策略', en: 'Change compression rules', category: 'config' },
  'config.normalisation': { zh: '修改规整规则', en: 'Change normalisation rules', category: 'config' },
  'config.dicom-node': { zh: '修改 DICOM 节点', en: 'Change DICOM node', category: 'config' },
  'backup.make': { zh: '备份', en: 'Back up', category: 'system' },
  'backup.restore': { zh: '恢复', en: 'Restore', category: 'system' },
  'archive.convert': { zh: '加密或解密存储的影像', en: 'Encrypt or decrypt stored images', category: 'system' },
  'system.start': { zh: '服务启动', en: 'Service started', category: 'system' },
  'system.stop': { zh: '服务停止', en: 'Service stopped', category: 'system' },
  'system.fault': { zh: '运行故障', en: 'Fault', category: 'system' },
  'system.recovery': { zh: '故障恢复', en: 'Recovery', category: 'system' },
  'system.clock': { zh: '时钟变动', en: 'Clock changed', category: 'system' },
  // the trail itself
  'audit.read': { zh: '查询审计', en: 'Read audit trail', category: 'audit' },
  'audit.export': { zh: '导出审计', en: 'Export audit trail', category: 'audit' },
  'audit.verify': { zh: '校验审计', en: 'Verify audit trail', category: 'audit' },
  'audit.retention': { zh: '清理过期审计', en: 'Remove expired audit records', category: 'audit' },
  'audit.alarm': { zh: '审计告警', en: 'Audit alarm', category: 'audit' },
} as const satisfies Record<string, ActionDescription>

export type AuditAction = keyof typeof auditActions
export const AuditAction = z.enum(Object.keys(auditActions) as [AuditAction, ...AuditAction[]])

export const describeAction = (action: AuditAction): ActionDescription => auditActions[action]
export const actionsOf = (...categories: AuditCategory[]): AuditAction[] =>
  AuditAction.options.filter((action) => categories.includes(describeAction(action).category))
