import { Buffer } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PartyId } from 'specs'
import { afterAll, describe, expect, it } from 'vitest'
import {
  createCsr,
  generateSm2KeyPair,
  issueCertificate,
  loadPrivateKey,
  loadPublicKey,
  parseCertificate,
  parseCrl,
  parseCsr,
  sm2Decrypt,
  sm2Encrypt,
  sm2Sign,
  sm2Verify,
  sm3Hex,
  sm4CtrEncrypt,
  TrustStore,
} from '../../src/index.ts'
import { aRegion, problemOf, reasonOf } from '../a-region.ts'

/** The real peer is the `openssl` command, 3.0 or later. It takes the empty user ID unless told the one everybody uses. */
const folder = mkdtempSync(join(tmpdir(), 'lianpian-openssl-'))
afterAll(() => rmSync(folder, { recursive: true }))
const ID = 'distid:1234567812345678'
const at = (name: string): string => join(folder, name)
function file(name: string, content: string | Uint8Array): string {
  writeFileSync(at(name), content)
  return at(name)
}
const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
const opensslSays = (...args: string[]): { status: number | null; text: string } => {
  const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
  return { status, text: stdout + stderr }
}

const region = aRegion()
const hospital = region.party('hospital-a')
const message = file('message.bin', '右肺结节，请会诊')
const messageBytes = readFileSync(message)
const theirKey = (name: string): string => {
  openssl('genpkey', '-algorithm', 'SM2', '-out', at(name))
  return readFileSync(at(name), 'utf8')
}

describe('openssl and we (SEC-11)', () => {
  it('compute the same SM3 and SM4-CTR', () => {
    expect(openssl('dgst', '-sm3', '-r', message).toString().slice(0, 64)).toBe(sm3Hex(messageBytes))
    const [key, iv] = [Buffer.alloc(16, 0x31), Buffer.alloc(16, 0xff)]
    const theirs = openssl('enc', '-sm4-ctr', '-K', key.toString('hex'), '-iv', iv.toString('hex'), '-in', message)
    expect(theirs.equals(Buffer.from(sm4CtrEncrypt(key, iv, messageBytes)))).toBe(true)
  })

  it('verify each other’s signatures, and neither takes the other’s with the empty user ID', () => {
    const pair = generateSm2KeyPair()
    const [privateFile, publicFile] = [file('a.key', pair.privateKeyPem), file('a.pub', pair.publicKeyPem)]
    const ours = file('ours.der', sm2Sign(loadPrivateKey(pair.privateKeyPem), messageBytes))
    expect(opensslSays('dgst', '-sm3', '-verify', publicFile, '-sigopt', ID, '-signature', ours, message).text).toContain('Verified OK')
    expect(opensslSays('dgst', '-sm3', '-verify', publicFile, '-signature', ours, message).status).toBe(1)

    openssl('dgst', '-sm3', '-sign', privateFile, '-sigopt', ID, '-out', at('theirs.der'), message)
    openssl('dgst', '-sm3', '-sign', privateFile, '-out', at('empty-id.der'), message)
    const key = loadPublicKey(pair.publicKeyPem)
    expect(sm2Verify(key, messageBytes, readFileSync(at('theirs.der')))).toBe(true)
    expect(sm2Verify(key, messageBytes, readFileSync(at('empty-id.der')))).toBe(false)
  })

  it('decrypt what the other encrypted', () => {
    const pem = theirKey('b.key')
    openssl('pkey', '-in', at('b.key'), '-pubout', '-out', at('b.pub'))
    const key = loadPrivateKey(pem)
    const ours = file('ours.enc', sm2Encrypt(loadPublicKey(readFileSync(at('b.pub'), 'utf8')), messageBytes))
    expect(openssl('pkeyutl', '-decrypt', '-inkey', at('b.key'), '-in', ours).equals(messageBytes)).toBe(true)
    openssl('pkeyutl', '-encrypt', '-pubin', '-inkey', at('b.pub'), '-in', message, '-out', at('theirs.enc'))
    expect(Buffer.from(sm2Decrypt(key, readFileSync(at('theirs.enc')))).equals(messageBytes)).toBe(true)
  })

  it('read each other’s private keys, also under a passphrase', () => {
    const pem = theirKey('c.key')
    const passphrase = 'correct horse battery'
    openssl('pkcs8', '-topk8', '-in', at('c.key'), '-v2', 'sm4-cbc', '-passout', `pass:${passphrase}`, '-out', at('c.enc.key'))
    const key = loadPrivateKey(readFileSync(at('c.enc.key'), 'utf8'), passphrase)
    expect(key.exportPem()).toBe(pem)
    const ours = file('ours.enc.key', key.exportPem(passphrase))
    expect(openssl('pkey', '-in', ours, '-passin', `pass:${passphrase}`).toString()).toBe(pem)
  })

  it('verify each other’s certificate requests', () => {
    const { privateKeyPem } = generateSm2KeyPair()
    const csr = createCsr({ party: PartyId.parse('hospital-a'), organisation: '云溪县人民医院', regionId: region.regionId, privateKeyPem })
    const answer = opensslSays(
      'req',
      '-in',
      file('ours.csr', csr),
      '-verify',
      '-vfyopt',
      ID,
      '-noout',
      '-subject',
      '-nameopt',
      'utf8,sep_comma_plus',
    )
    expect(answer).toMatchObject({ status: 0, text: expect.stringContaining('C=CN,O=云溪县人民医院,OU=yunling,CN=hospital-a') as string })

    theirKey('d.key')
    const subject = ['-utf8', '-subj', '/C=CN/O=澄江省立医院/OU=yunling/CN=hospital-c']
    openssl('req', '-new', '-key', at('d.key'), '-sm3', '-sigopt', ID, ...subject, '-out', at('theirs.csr'))
    const theirs = readFileSync(at('theirs.csr'), 'utf8')
    expect(parseCsr(theirs)).toMatchObject({ party: 'hospital-c', organisation: '澄江省立医院', regionId: 'yunling' })
    const issued = issueCertificate(region.ca, theirs, { days: 30 })
    expect(region.trust().verifyChain([issued, region.ca.certificatePem], Date.now()).party).toBe('hospital-c')
  })
})

describe('openssl reads our certificates', () => {
  const [root, ca, leaf] = [
    file('root.crt', region.root.certificatePem),
    file('ca.crt', region.ca.certificatePem),
    file('leaf.crt', hospital.certificate.pem),
  ]

  it('and verifies the chain link by link', () => {
    expect(opensslSays('verify', '-vfyopt', ID, '-x509_strict', '-CAfile', root, ca)).toMatchObject({ status: 0 })
    expect(opensslSays('verify', '-vfyopt', ID, '-x509_strict', '-partial_chain', '-trusted', ca, leaf)).toMatchObject({ status: 0 })
    const foreign = file('foreign.crt', aRegion().ca.certificatePem)
    expect(opensslSays('verify', '-vfyopt', ID, '-partial_chain', '-trusted', foreign, leaf).status).not.toBe(0)
  })
  it('with the same fields as we do', () => {
    const { text } = opensslSays('x509', '-in', leaf, '-noout', '-text', '-nameopt', 'utf8,sep_comma_plus')
    expect(text).toContain('SM2-with-SM3')
    expect(text).toContain('CN=hospital-a')
    expect(text).toContain('CA:FALSE')
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature, Non Repudiation, Key Encipherment/)
    const serial = opensslSays('x509', '-in', leaf, '-noout', '-serial').text.trim().replace('serial=', '').toLowerCase()
    expect(serial).toBe(hospital.certificate.serial)
  })
  it('and our revocation list', () => {
    const list = file('ours.crl', region.crl([hospital], { number: 4660 }))
    const { status, text } = opensslSays('crl', '-in', list, '-noout', '-text')
    expect(status).toBe(0)
    expect(text).toMatch(/X509v3 CRL Number:\s+(4660|0x1234)/)
    expect(text.toLowerCase()).toContain(`serial number: ${hospital.certificate.serial}`)
    expect(openssl('crl', '-in', list, '-outform', 'DER').length).toBeGreaterThan(200)
  })
})

describe('an authority run with openssl', () => {
  const config = file(
    'ca.cnf',
    `[ca_ext]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
[root_ext]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[leaf_ext]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,nonRepudiation,keyEncipherment
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
[encryption_ext]
basicConstraints=critical,CA:FALSE
keyUsage=critical,keyEncipherment
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
[strange_ext]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
1.2.3.4=critical,ASN1:UTF8String:what is this
[ca]
default_ca=here
[here]
database=index.txt
crlnumber=crlnumber
default_md=sm3
default_crl_days=30
crl_extensions=crl_ext
[crl_ext]
authorityKeyIdentifier=keyid:always
`,
  )
  /** Certifies `key` by whatever stands in `issuer`, as its holder could, right or wrong. */
  function certify(
    name: string,
    subject: string,
    extensions: string,
    issuer?: { certificate: string; key: string },
  ): { pem: string; certificate: string; key: string } {
    const key = at(`${name}.key`)
    theirKey(`${name}.key`)
    openssl('req', '-new', '-utf8', '-key', key, '-sm3', '-sigopt', ID, '-subj', subject, '-out', at(`${name}.csr`))
    const by = issuer ? ['-CA', issuer.certificate, '-CAkey', issuer.key, '-CAcreateserial'] : ['-signkey', key]
    const signing = [
      '-vfyopt',
      ID,
      '-sm3',
      '-sigopt',
      ID,
      '-days',
      '30',
      '-extfile',
      config,
      '-extensions',
      extensions,
      '-out',
      at(`${name}.crt`),
    ]
    openssl('x509', '-req', '-in', at(`${name}.csr`), ...by, ...signing)
    return { pem: readFileSync(at(`${name}.crt`), 'utf8'), certificate: at(`${name}.crt`), key }
  }
  const root = certify('their-root', '/C=CN/O=根/CN=Root', 'root_ext')
  const ca = certify('their-ca', '/C=CN/O=区域/OU=yunling/CN=CA', 'ca_ext', root)
  const leaf = certify('their-leaf', '/C=CN/O=医院/OU=yunling/CN=hospital-a', 'leaf_ext', ca)
  const trust = (): TrustStore => new TrustStore({ rootPem: root.pem, regionId: region.regionId })
  const soon = Date.now() + 1_000

  it('is believed like one of ours, and so is its revocation list', () => {
    const store = trust()
    expect(store.verifyChain([leaf.pem, ca.pem], soon)).toMatchObject({ party: 'hospital-a' })
    file('index.txt', '')
    file('crlnumber', '10\n')
    openssl('ca', '-config', config, '-keyfile', ca.key, '-cert', ca.certificate, '-sigopt', ID, '-revoke', leaf.certificate)
    openssl('ca', '-config', config, '-keyfile', ca.key, '-cert', ca.certificate, '-sigopt', ID, '-gencrl', '-out', at('their.crl'))
    const list = readFileSync(at('their.crl'), 'utf8')
    expect(parseCrl(list).number).toBe(16)
    store.setCrl(list)
    expect(problemOf(() => store.verifyChain([leaf.pem, ca.pem], soon))).toBe('certificate/revoked')
  })
  it('cannot be played by a hospital that issues under its own certificate', () => {
    const forged = certify('forged', '/C=CN/O=医院/OU=yunling/CN=hub', 'leaf_ext', leaf)
    expect(reasonOf(() => trust().verifyChain([forged.pem, leaf.pem, ca.pem], soon))).toBe(
      'certificate/untrusted: issuer is not a certificate authority',
    )
  })
  it('must sign with a signing key: one for encryption only cannot speak', () => {
    const encryption = certify('encryption', '/C=CN/O=医院/OU=yunling/CN=hospital-a', 'encryption_ext', ca)
    expect(reasonOf(() => trust().verifyChain([encryption.pem, ca.pem], soon))).toBe('certificate/untrusted: key usage')
  })
  it('is refused where it demands something we do not know (critical extension)', () => {
    const strange = certify('strange', '/C=CN/O=医院/OU=yunling/CN=hospital-a', 'strange_ext', ca)
    expect(problemOf(() => parseCertificate(strange.pem))).toBe('certificate/invalid')
    expect(openssl('x509', '-in', strange.certificate, '-noout', '-text').toString()).toContain('1.2.3.4: critical')
  })
  it('may not stand below an authority whose path length is used up', () => {
    const regionCa = { certificate: file('region-ca.crt', region.ca.certificatePem), key: file('region-ca.key', region.ca.privateKeyPem) }
    const sub = certify('sub', '/C=CN/O=区域/OU=yunling/CN=Sub', 'ca_ext', regionCa)
    const below = certify('below', '/C=CN/O=医院/OU=yunling/CN=hospital-a', 'leaf_ext', sub)
    expect(reasonOf(() => region.trust().verifyChain([below.pem, sub.pem, region.ca.certificatePem], soon))).toBe(
      'certificate/untrusted: path length',
    )
  })
  it('of another algorithm is not ours', () => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      at('rsa.key'),
      '-subj',
      '/CN=hospital-a',
      '-out',
      at('rsa.crt'),
      '-days',
      '1',
    )
    expect(problemOf(() => parseCertificate(readFileSync(at('rsa.crt'), 'utf8')))).toBe('certificate/invalid')
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at('ec.key'))
    openssl('pkcs8', '-topk8', '-nocrypt', '-in', at('ec.key'), '-out', at('ec.p8'))
    expect(problemOf(() => loadPrivateKey(readFileSync(at('ec.p8'), 'utf8')))).toBe('certificate/invalid')
  })
})
