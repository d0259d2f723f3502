/** The address that an administrator knows: IPv4 peers of a dual-stack socket come as ::ffff:10.0.0.9. */
export function plainAddress(address: string | undefined): string {
  return address?.replace(/^::ffff:(?=\d+\.)/, '') ?? ''
}
