import { fileURLToPath } from 'node:url'
import { hubRoles, nodeRoles } from 'specs'
import { readTable, type Row, type Table } from './table.ts'

export const matrixPage = fileURLToPath(new URL('../../../docs/compliance/access-matrix.md', import.meta.url))

const parts: readonly { readonly name: string; readonly title: string; readonly note: string }[] = [
  { name: 'node', title: '医院节点的接口 Doors of a hospital’s node', note: '“任何人”指不要求登录；其余各列为内置角色，数据范围（院区、科室、检查类型、规则、标签）在此之上再作限制。 Scope, rules and labels narrow what the role opens.' },
  { name: 'hub', title: '区域中心的接口 Doors of the hub', note: '区域中心不保存患者身份。 The hub holds no identity of a patient.' },
  { name: 'events', title: '实时事件 Live events', note: '事件只送达能够列出该检查或任务的人。 An event reaches those who may list what it names.' },
  { name: 'dimse', title: 'DICOM 服务 DICOM services', note: '按设备登记的用途：store 只发送，query 只查询，fetch 查询并提取，narrow 只查询、提取超声，closed 已登记但停用，unknown 未登记。 By what a device is registered for.' },
  { name: 'line', title: '医院之间的线路 The line between hospitals', note: 'member 为区域内有效成员医院，hub 为区域中心；医院之间的调用还须由所属医院按人员断言、授权与规则决定。 Calls between hospitals are decided again by the owner.' },
]

const names = new Map<string, string>([...nodeRoles, ...hubRoles].map(({ id, zh }) => [id, zh]))

/** The tables as people read them: one row for each door, one column for each role. */
export function printMatrix(): string {
  const head = `# 访问矩阵 Access matrix

由 \`tests/security/matrix.*.txt\` 生成（\`npm run access-matrix\`）。该表独立于代码写成；\`tests/security\` 中的测试在真实进程上以每个角色、未登录者、
已停用用户、其他医院的令牌、接口账号和数据范围不符者访问每个入口，没有对应行的入口或没有入口的行都会使测试失败。

Printed from \`tests/security/matrix.*.txt\`. The tables are written by hand, apart from the code; the tests of \`tests/security\` ask every door of
running services as every role, as nobody, as a dismissed user, with another hospital's token, as a program and out of scope. A door without a row,
or a row without a door, fails the build.
`
  return `${head}${parts.map(({ name, title, note }) => `\n## ${title}\n\n${note}\n${sections(readTable(name))}`).join('')}`
}

function sections({ roles, rows }: Table): string {
  return [...new Set(rows.map(({ section }) => section))]
    .map((section) => {
      const columns = ['', '任何人', ...roles.map((role) => names.get(role) ?? role)]
      const lines = rows.filter((row) => row.section === section).map((row) => [`\`${row.door}\``, row.who === 'anyone' ? '●' : '', ...roles.map((role) => markOf(row, role))])
      return `\n### ${section}\n\n${[columns, columns.map((_, n) => (n === 0 ? '---' : ':-:')), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`
    })
    .join('')
}

const markOf = ({ who }: Row, role: string): string => (who === 'anyone' || who.includes(role) ? '●' : '')
