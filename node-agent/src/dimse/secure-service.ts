import { readFileSync } from 'node:fs'
import { readServerCertificate, watchServerCertificate, type Log, type TlsFiles } from 'service-kit'
import { startDimseServer, type DimseServer, type DimseServerOptions, type DimseTls } from './server.ts'

export interface SecureDimse extends TlsFiles {
  readonly host: string
  readonly port: number
  /** Authorities whose devices may connect: with it, a caller must show a certificate (PS3.15 B.12, mutual authentication). */
  readonly caFile?: string | undefined
  readonly only: boolean
}

/**
 * DICOM over TLS (PS3.15 B.12, which follows BCP 195) on a port of its own beside the plain one, since most modalities cannot do it.
 * A renewed certificate is taken into use while it runs.
 *
 * @throws An Error that names file and setting at fault.
 */
export async function startSecureDimse(options: Omit<DimseServerOptions, 'host' | 'port' | 'tls'>, { host, port, caFile, ...files }: SecureDimse, log: Log): Promise<DimseServer> {
  const setting = 'dimse.tls'
  const tlsOf = (): DimseTls => {
    readServerCertificate(files, setting) // says what is wrong with them
    const read = (file: string) => readFileSync(file, 'utf8')
    return { cert: read(files.certFile), key: read(files.keyFile), ...(caFile !== undefined && { ca: read(caFile) }) }
  }
  const server = await startDimseServer({ ...options, host, port, tls: tlsOf(), setting: 'dimse.tls.port' })
  const endWatch = watchServerCertificate(files, { setting, log, use: () => server.useCertificate(tlsOf()) })
  return {
    port: server.port,
    get openAssociations() {
      return server.openAssociations
    },
    useCertificate: (tls) => server.useCertificate(tls),
    close: (how) => {
      endWatch()
      return server.close(how)
    },
  }
}
