// npm run integrity -- make|verify: the program as it was published, file by file. Meant for ExecStartPre of systemd or an entry point.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compare, isSignedBy, makeList, ProgramList, signList } from './program-list.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const HELP = `npm run integrity -- make --out <file> [--packages] [--key <SM2 key.pem>]
npm run integrity -- verify --list <file> [--public-key <key.pem>]
  发布方用 make 生成（并以 SM2 私钥签名）程序文件清单；医院用 verify 核对，签名公钥须从可信渠道取得。
  --packages   连同 node_modules / with the packages it runs on
  私钥口令取自环境变量 LIANPIAN_PKI_PASSPHRASE / the passphrase of the key comes from that variable
结果 exit code: 0 一致 as published · 1 有差异 differs · 2 无法核对 cannot be verified`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      list: { type: 'string' },
      key: { type: 'string' },
      'public-key': { type: 'string' },
      packages: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (positionals[0] === 'make' && values.out !== undefined) {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    const list = await makeList(root, version, { packages: values.packages })
    const signed = values.key === undefined ? list : signList(list, readFileSync(values.key, 'utf8'), process.env['LIANPIAN_PKI_PASSPHRASE'])
    writeFileSync(values.out, `${JSON.stringify(signed, undefined, 1)}\n`)
    console.log(`${values.out}: ${Object.keys(list.files).length} files${values.key === undefined ? '，未签名 not signed' : ''}`)
    return 0
  }
  if (positionals[0] === 'verify' && values.list !== undefined) return verify(values.list, values['public-key'])
  console.log(HELP)
  return values.help ? 0 : 2
}

async function verify(file: string, publicKeyFile: string | undefined): Promise<number> {
  const list = ProgramList.parse(JSON.parse(readFileSync(file, 'utf8')))
  if (publicKeyFile === undefined) console.log('未核对签名：没有给出 --public-key，清单本身可能被改过。 The signature was not checked: the list itself may have been changed.')
  else if (!isSignedBy(list, readFileSync(publicKeyFile, 'utf8'))) {
    console.error('清单的签名无效。 The signature of the list is not valid.')
    return 1
  }
  const { changed, missing, added } = await compare(root, list)
  for (const [word, paths] of [['已改动 changed', changed], ['缺失 missing', missing], ['多出 not listed', added]] as const) for (const path of paths) console.error(`${word}: ${path}`)
  if (changed.length + missing.length + added.length > 0) return 1
  console.log(`${list.version}: ${Object.keys(list.files).length} files 与发布一致 as published`)
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}
