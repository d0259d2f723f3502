import { isProblem } from 'specs'
import { crl, initRegion, initRoot, issue, renewRegion, request, revoke } from './authority-commands.ts'
import { type Command, helpOf, parseOptions } from './command.ts'
import { verifyDocumentFile } from './document-commands.ts'
import { inspect, open, seal, verify } from './inspection-commands.ts'
import { tlsServer } from './tls-commands.ts'
import { PASSPHRASE_VARIABLE, type Terminal } from './terminal.ts'

const commands: Readonly<Record<string, Command>> = {
  'init-root': initRoot,
  'init-region': initRegion,
  'renew-region': renewRegion,
  request,
  issue,
  revoke,
  crl,
  inspect,
  verify,
  'verify-document': verifyDocumentFile,
  seal,
  open,
  'tls-server': tlsServer,
}

/** @returns the exit code: 0 done, 1 refused, 2 not understood. A bug is thrown. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<0 | 1 | 2> {
  const [name = 'help', ...rest] = args
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) {
    terminal.print(overview())
    return ['help', '--help', '-h'].includes(name) ? 0 : 2
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    terminal.print(helpOf(name, command))
    return 0
  }
  try {
    await command.run(parseOptions(command, rest), terminal)
    return 0
  } catch (error) {
    if (!isProblem(error)) throw error
    terminal.print(`${error.answer.zh} / ${error.answer.en} [${error.code}] ${JSON.stringify(error.facts)}`)
    if (error.code !== 'request/invalid') return 1
    terminal.print(`\n${helpOf(name, command)}`)
    return 2
  }
}

function overview(): string {
  const rows = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`)
  return [
    'npm run pki -- <command> [options]',
    '国密证书与签名信封工具 SM2 certificates and sealed envelopes',
    '',
    ...rows,
    '',
    '每个命令都有 --help。every command has --help.',
    `私钥口令取自环境变量 ${PASSPHRASE_VARIABLE} 或键盘输入，不作为参数。passphrases come from that variable or the keyboard, never from an argument.`,
  ].join('\n')
}
