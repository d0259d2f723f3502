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
} as const
