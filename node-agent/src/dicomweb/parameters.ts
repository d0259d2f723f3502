import { z } from 'zod'

// What requests may carry besides their path, as the OpenAPI document tells it. They are read where they are used.

const flag = z.enum(['true', 'false'])

/** PS3.18 8.3.4; any attribute of the level may be a parameter as well, by keyword or tag. */
export const SearchParameters = z.object({
  limit: z.int().min(0).describe('结果数上限 At most so many results; 1000 unless less is asked for').optional(),
  offset: z.int().min(0).describe('跳过的结果数 Results to pass over; the Link header names the next page').optional(),
  includefield: z.string().describe('附加返回的属性（关键字、标签或 all） Attributes to answer besides: keywords, tags, all').optional(),
  fuzzymatching: flag.describe('姓名按词、拼音、不分次序匹配 Names by their words, in any order, as they are read').optional(),
  emptyvaluematching: flag.describe('"" 匹配空值 Two quotation marks ask for what has no value').optional(),
  multiplevaluematching: flag.describe('逗号分隔多个值 Values may be listed with commas').optional(),
  PatientName: z.string().describe('姓名，可用 * ? 通配 Name, * and ? stand for anything').optional(),
  PatientID: z.string().optional(),
  AccessionNumber: z.string().optional(),
  StudyDate: z.string().describe('YYYYMMDD 或 YYYYMMDD-YYYYMMDD A day or a range of days').optional(),
  StudyInstanceUID: z.string().describe('可用逗号列出多个 Several, divided by commas').optional(),
  ModalitiesInStudy: z.string().optional(),
  regionId: z.string().describe('区域标识 Only what belongs to this region (FED-20)').optional(),
  accept: z.string().describe('同 Accept 头 Like the header').optional(),
})

/** PS3.18 8.3.5.1. */
export const RenderParameters = z.object({
  window: z.string().describe('窗位,窗宽[,linear|linear-exact|sigmoid] Center, width, function').optional(),
  viewport: z.string().describe('宽,高[,左,上,宽,高] Size, and the part of the image to show').optional(),
  quality: z.int().min(1).max(100).optional(),
  accept: z.string().describe('同 Accept 头 Like the header').optional(),
})

export const RetrieveParameters = z.object({
  accept: z.string().describe('同 Accept 头，可含 transfer-syntax Like the header, with a transfer syntax if one is wanted').optional(),
  reason: z.string().max(500).describe('导出理由 Why the files are taken out').optional(),
  identity: z.enum(['full']).describe('保留患者身份，需相应权限与理由 With names, for whoever may, with a reason').optional(),
})

export const AcceptParameter = z.object({ accept: z.string().describe('同 Accept 头 Like the header').optional() })
