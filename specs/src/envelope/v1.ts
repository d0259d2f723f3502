import { z } from 'zod'
import { EpochMs, MessageId, PartyId } from '../identifiers.ts'

/** At most this many bytes of JSON are read as an envelope. */
export const ENVELOPE_MAX_BYTES = 4 * 1024 * 1024

export const EnvelopeRecipient = z.object({
  party: PartyId,
  /** Serial number (hex) of the certificate the key is encrypted for. */
  certificateSerial: z.string().max(64),
  /** A sender's key-encryption key for this recipient, SM2-encrypted (GB/T 32918.4, DER C1‖C3‖C2), base64; renewed hourly, cached at both ends. */
  encryptedKek: z.base64(),
  /** The content key under that KEK: iv(16)‖SM4-CTR(content key 48)‖HMAC-SM3(32), base64. */
  wrappedKey: z.base64(),
})
export type EnvelopeRecipient = z.infer<typeof EnvelopeRecipient>

/** Everything but ciphertext and signature; the signature covers its exact bytes. */
export const EnvelopeHeader = z.object({
  v: z.literal(1),
  id: MessageId,
  /** Who it is for; a receiver not named here refuses. */
  audience: z.array(PartyId).min(1).max(500),
  sealedAt: EpochMs,
  alg: z.literal('SM2-SM3+SM4-CTR-HMAC-SM3'),
  recipients: z.array(EnvelopeRecipient).min(1).max(500),
  iv: z.base64(),
  /** PEM chain of the sender, leaf first, without the root. The sender is who the leaf says. */
  certificateChain: z.array(z.string().max(4_000)).min(1).max(4),
})
export type EnvelopeHeader = z.infer<typeof EnvelopeHeader>

/** The text on the wire: `header` is base64 of the UTF-8 JSON of EnvelopeHeader; `mac` is HMAC-SM3 over header‖ciphertext; `signature` is SM2 over header‖mac, DER. */
export const EnvelopeText = z.object({ header: z.base64(), ciphertext: z.base64(), mac: z.base64(), signature: z.base64() })
export type EnvelopeText = z.infer<typeof EnvelopeText>
