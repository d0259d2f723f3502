/** Object identifiers, where they are defined. */
export const oids = {
  ecPublicKey: '1.2.840.10045.2.1', // RFC 5480
  sm2Curve: '1.2.156.10197.1.301', // GM/T 0006, GB/T 33560
  sm2WithSm3: '1.2.156.10197.1.501',
  sm4Cbc: '1.2.156.10197.1.104.2',
  pbes2: '1.2.840.113549.1.5.13', // RFC 8018
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacWithSha256: '1.2.840.113549.2.9',
  countryName: '2.5.4.6', // X.520
  organizationName: '2.5.4.10',
  organizationalUnitName: '2.5.4.11',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14', // RFC 5280 4.2.1
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  crlNumber: '2.5.29.20',
  authorityKeyIdentifier: '2.5.29.35',
  subjectAltName: '2.5.29.17',
  extendedKeyUsage: '2.5.29.37',
  reasonCode: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  title: '2.5.4.12', // X.520
  userId: '0.9.2342.19200300.100.1.1', // RFC 4519 2.39
  sm3: '1.2.156.10197.1.401', // GM/T 0006
  signedData: '1.2.840.113549.1.7.2', // RFC 5652
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
  tstInfo: '1.2.840.113549.1.9.16.1.4', // RFC 3161
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47', // RFC 5035
  timeStampPolicy: '2.25.192565999712139004011940304981619184318', // X.667: our own, made from a UUID
} as const
