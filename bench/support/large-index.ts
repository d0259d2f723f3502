import type { Database } from 'service-kit'
import { nameKey } from '../../node-agent/src/archive/matching.ts'
import { numbers } from './long-trail.ts'

/** As often as they are met: a tenth of all Chinese share the first. */
const surnames: readonly (readonly [string, string, number])[] = [
  ['王', 'Wang', 72], ['李', 'Li', 71], ['张', 'Zhang', 67], ['刘', 'Liu', 53], ['陈', 'Chen', 45], ['杨', 'Yang', 31], ['黄', 'Huang', 24], ['赵', 'Zhao', 22], ['吴', 'Wu', 20], ['周', 'Zhou', 19],
  ['徐', 'Xu', 15], ['孙', 'Sun', 15], ['马', 'Ma', 13], ['朱', 'Zhu', 13], ['胡', 'Hu', 12], ['郭', 'Guo', 12], ['何', 'He', 11], ['林', 'Lin', 11], ['高', 'Gao', 10], ['罗', 'Luo', 10],
  ['郑', 'Zheng', 9], ['梁', 'Liang', 9], ['谢', 'Xie', 8], ['宋', 'Song', 8], ['唐', 'Tang', 7], ['许', 'Xu', 7], ['韩', 'Han', 7], ['冯', 'Feng', 6], ['邓', 'Deng', 6], ['曹', 'Cao', 6],
] // prettier-ignore
const given: readonly (readonly [string, string])[] = [
  ['秀', 'Xiu'], ['兰', 'Lan'], ['英', 'Ying'], ['华', 'Hua'], ['明', 'Ming'], ['国', 'Guo'], ['建', 'Jian'], ['军', 'Jun'], ['平', 'Ping'], ['红', 'Hong'], ['玉', 'Yu'], ['梅', 'Mei'], ['海', 'Hai'], ['文', 'Wen'],
  ['志', 'Zhi'], ['强', 'Qiang'], ['丽', 'Li'], ['敏', 'Min'], ['静', 'Jing'], ['伟', 'Wei'], ['芳', 'Fang'], ['娜', 'Na'], ['磊', 'Lei'], ['洋', 'Yang'], ['艳', 'Yan'], ['勇', 'Yong'], ['杰', 'Jie'], ['娟', 'Juan'],
  ['涛', 'Tao'], ['超', 'Chao'], ['霞', 'Xia'], ['桂', 'Gui'], ['春', 'Chun'], ['云', 'Yun'], ['飞', 'Fei'], ['龙', 'Long'], ['凤', 'Feng'], ['宝', 'Bao'], ['金', 'Jin'], ['荣', 'Rong'], ['庆', 'Qing'], ['新', 'Xin'],
] // prettier-ignore
const weighted = surnames.flatMap((each) => Array.from({ length: each[2] }, () => each))

/** `Zhang^XiuLan=张^秀兰`, the same for the same number. */
export function personName(number: number): string {
  const random = numbers(number * 2_654_435 + 17)
  random(2)
  const [han, pinyin] = weighted[random(weighted.length)]!
  const parts = [given[random(given.length)]!, ...(random(5) > 0 ? [given[random(given.length)]!] : [])]
  return `${pinyin}^${parts.map(([, sound]) => sound).join('')}=${han}^${parts.map(([sign]) => sign).join('')}`
}

export const patientsOf = (studies: number): number => Math.ceil(studies * 0.4)
/** Days over which the studies lie, the last being 2026-11-20. */
const days = 3 * 365
export const dayOf = (study: number, studies: number): string =>
  new Date(Date.UTC(2026, 10, 20) - Math.floor((study / studies) * days) * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '')
export const patientIdOf = (number: number): string => `P${String(number).padStart(8, '0')}`
export const accessionOf = (number: number): string => `A${String(number).padStart(9, '0')}`
const modalities = ['CT', 'CT', 'CT', 'CT', 'DX', 'DX', 'DX', 'MR', 'US', 'XA']

async function inPortions(count: number, work: (numbers: readonly number[]) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += 5_000) await work(Array.from({ length: Math.min(5_000, count - from) }, (_each, index) => from + index))
}

/** Our own made-up values, none with a quote in it. */
const literals = (rows: readonly (readonly (string | number)[])[]): string =>
  rows.map((row) => `(${row.map((value) => (typeof value === 'number' ? value : `'${value}'`)).join(', ')})`).join(', ')

/**
 * Rows of an archive as large as wanted, straight into the tables: two series and ten instances a study. Migrated, but not yet opened: its indexes are
 * built when it is, as after an update.
 */
export async function fillIndex(db: Database, studies: number): Promise<void> {
  const patients = patientsOf(studies)
  if (db.dialect === 'sqlite') for (const pragma of ['synchronous = OFF', 'cache_size = -800000']) await db.run(`PRAGMA ${pragma}`)
  await db.run('CREATE TABLE bench_patient (number INTEGER PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL, birth TEXT NOT NULL)')
  await inPortions(patients, (numbers) => {
    const rows = numbers.map((number) => [number, personName(number), nameKey(personName(number)), `${1930 + (number % 85)}${String(1 + (number % 12)).padStart(2, '0')}${String(1 + (number % 28)).padStart(2, '0')}`])
    return db.run(`INSERT INTO bench_patient (number, name, name_key, birth) VALUES ${literals(rows)}`)
  })
  await db.run('CREATE TABLE bench_study (number INTEGER PRIMARY KEY, day TEXT NOT NULL, modality TEXT NOT NULL, patient INTEGER NOT NULL)')
  await inPortions(studies, (numbers) =>
    db.run(`INSERT INTO bench_study (number, day, modality, patient) VALUES ${literals(numbers.map((number) => [number, dayOf(number, studies), modalities[(number * 7) % 10] ?? 'CT', (number * 7_919) % patients]))}`),
  )
  const padded = (column: string, width: number) => (db.dialect === 'sqlite' ? `substr('000000000' || ${column}, -${width})` : `lpad(${column}::text, ${width}, '0')`)
  await db.run(`INSERT INTO archive_patient (patient_key, region_id, hospital_id, patient_id, issuer_of_patient_id, patient_name, patient_name_key, patient_birth_date, patient_sex, registered_at)
    SELECT 'key-' || p.number, 'yunling', 'hospital-a', 'P' || ${padded('p.number', 8)}, '', p.name, p.name_key, p.birth, CASE p.number % 2 WHEN 1 THEN 'M' ELSE 'F' END, 0 FROM bench_patient p`)
  await db.run(`INSERT INTO archive_study (study_instance_uid, region_id, hospital_id, patient_key, patient_id, issuer_of_patient_id, patient_name, patient_name_key, patient_birth_date, patient_sex,
      patient_age, study_date, study_time, accession_number, study_id, study_description, referring_physician_name, referring_physician_name_key, institution_name, instance_count, size_bytes,
      duplicate_count, received_at, updated_at)
    SELECT '1.2.826.0.1.3680043.9.7433.1.' || s.number, 'yunling', 'hospital-a', 'key-' || p.number, 'P' || ${padded('p.number', 8)}, '', p.name, p.name_key, p.birth, CASE p.number % 2 WHEN 1 THEN 'M' ELSE 'F' END,
      '056Y', s.day, ${padded('((s.number * 37) % 240000)', 6)}, 'A' || ${padded('s.number', 9)}, 'S' || s.number, CASE s.number % 3 WHEN 0 THEN '胸部CT平扫' WHEN 1 THEN '头颅MR' ELSE '腹部超声' END, '', '==',
      '县医院', 10, 5260000, 0, 0, 0 FROM bench_study s JOIN bench_patient p ON p.number = s.patient`)
  await db.run(`INSERT INTO archive_series (study_instance_uid, series_instance_uid, region_id, hospital_id, modality, series_number, series_description, series_date, series_time, body_part_examined, laterality,
      protocol_name, manufacturer, manufacturer_model_name, station_name, performed_procedure_step_start_date, performed_procedure_step_start_time, instance_count, size_bytes, version, updated_at)
    SELECT '1.2.826.0.1.3680043.9.7433.1.' || s.number, '1.2.826.0.1.3680043.9.7433.2.' || s.number || '.' || k.k, 'yunling', 'hospital-a', s.modality, '' || k.k, '肺窗', s.day, '101500', CASE s.number % 4 WHEN 0 THEN 'CHEST'
      WHEN 1 THEN 'HEAD' WHEN 2 THEN 'ABDOMEN' ELSE 'KNEE' END, '', '', 'Siemens', 'Somatom', 'ROOM' || (s.number % 12), s.day, '101500', 5, 2630000, 1, 0
    FROM bench_study s CROSS JOIN (SELECT 1 AS k UNION ALL SELECT 2) k`)
  await db.run(`INSERT INTO archive_series_class (study_instance_uid, series_instance_uid, sop_class_uid) SELECT study_instance_uid, series_instance_uid, '1.2.840.10008.5.1.4.1.1.2' FROM archive_series`)
  const step = 50_000
  for (let from = 0; from < studies; from += step)
    await db.run(
      `INSERT INTO archive_instance (sop_instance_uid, study_instance_uid, series_instance_uid, region_id, hospital_id, sop_class_uid, transfer_syntax_uid, instance_number, content_date, content_time, image_type,
        rows, columns, bits_allocated, number_of_frames, size_bytes, sm3, path, file_id, header_bytes, dataset_offset, frame_index, missing, received_at, source_kind, source_peer)
      SELECT '1.2.826.0.1.3680043.9.7433.3.' || s.number || '.' || k.k, '1.2.826.0.1.3680043.9.7433.1.' || s.number, '1.2.826.0.1.3680043.9.7433.2.' || s.number || '.' || (1 + k.k % 2), 'yunling', 'hospital-a',
        '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', '' || k.k, s.day, '101500', 'ORIGINAL\\PRIMARY\\AXIAL', 512, 512, 16, NULL, 526000, '0000000000000000000000000000000000000000000000000000000000000000',
        s.modality || '/' || s.day || '/' || s.number || '/' || k.k || '.dcm', 'f-' || s.number || '-' || k.k, 1400, 400, '{"kind":"none"}', 0, 0, 'dimse', 'CT01'
      FROM bench_study s CROSS JOIN (SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9 UNION ALL SELECT 10) k
      WHERE s.number >= $1 AND s.number < $2`,
      [from, from + step],
    )
  await db.run('DROP TABLE bench_patient')
  await db.run('DROP TABLE bench_study')
}
