import { LeftOutReason, type ExportRequest } from 'specs'
import type { StayingBehind } from './contents.ts'

export const leftOutTexts: Readonly<Record<LeftOutReason, { readonly zh: string; readonly en: string }>> = {
  'burned-in': { zh: '影像声明像素中含有患者信息', en: 'says that the patient stands in its pixels' },
  kind: { zh: '此类影像常在像素中显示姓名（超声、二次获取、照片等）', en: 'of a kind that shows names in its pixels (ultrasound, secondary capture, photographs)' },
  features: { zh: '可辨认面容', en: 'a face can be recognised' },
  overlay: { zh: '像素中嵌有叠加层', en: 'an overlay lies in unused bits of its pixels' },
  document: { zh: '文字类对象', en: 'a text, without pixels' },
  'not-renderable': { zh: '无法生成图片', en: 'cannot be shown as a picture' },
  unreadable: { zh: '文件无法解析', en: 'cannot be read' },
}

const levels = {
  L0: { zh: 'L0 原样（含完整患者信息）', en: 'L0, as stored, with the patient in full' },
  L1: { zh: 'L1 脱敏（姓名等按本院规则遮盖）', en: 'L1, masked' },
  L3: { zh: 'L3 去标识化（DICOM PS3.15 附录 E）', en: 'L3, pseudonymous (DICOM PS3.15 Annex E)' },
} as const

export interface ReportFacts {
  readonly exportId: string
  readonly hospital: string
  readonly by: string
  readonly at: string
  readonly request: Pick<ExportRequest, 'level' | 'format' | 'purpose' | 'dates' | 'characteristics' | 'includeShown'>
  /** At L3: where the pseudonyms are known. */
  readonly projectId: string
  readonly count: number
  readonly staying: readonly StayingBehind[]
}

/** 导出说明.txt: what this package is, and what stayed behind and why. Nothing of it names the patient. */
export function reportText({ exportId, hospital, by, at, request, projectId, count, staying }: ReportFacts): string {
  const { level, purpose, dates, includeShown } = request
  const dateTexts = { shifted: '日期已整体平移 dates shifted', kept: '日期保留 dates kept', removed: '日期已去除 dates removed' } as const
  const lines = [
    '影像导出说明 About this export',
    '',
    `导出号 Export: ${exportId}`,
    `医院 Hospital: ${hospital}`,
    `导出人 By: ${by}`,
    `时间 At: ${at}`,
    `用途 Purpose: ${purpose}`,
    `级别 Level: ${levels[level].zh} / ${levels[level].en}`,
    ...(level === 'L3' ? [`项目 Project: ${projectId}`, `日期 Dates: ${dateTexts[dates]}`] : []),
    `文件 Files: ${count}`,
    ...(includeShown && level !== 'L0' ? ['注意：按要求包含了像素中可能显示姓名的影像。 Images whose pixels may show a name were asked for and are included.'] : []),
    '',
    staying.length === 0 ? '没有影像被留下。 Nothing was left out.' : `未导出 Left out: ${staying.length}`,
    ...byReason(staying),
    '',
    '各文件的 SM3 摘要见 SM3SUMS.txt，可据此查出改动。 SM3SUMS.txt holds a digest of every file, so that changes show.',
    '每次导出均记入审计；未经许可不得转交他人。 Every export is recorded; do not hand it on without permission.',
  ]
  return `${lines.join('\r\n')}\r\n`
}

function byReason(staying: readonly StayingBehind[]): string[] {
  return LeftOutReason.options.flatMap((reason) => {
    const labels = staying.filter((each) => each.reason === reason).map(({ label }) => label)
    if (labels.length === 0) return []
    const shown = labels.slice(0, 200).join(', ') + (labels.length > 200 ? ' …' : '')
    return [`- ${leftOutTexts[reason].zh} / ${leftOutTexts[reason].en}: ${labels.length} (序列/图像 series/image ${shown})`]
  })
}
