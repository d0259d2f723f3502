import type { Window } from './display.ts'
import type { PixelDescription } from './pixel-description.ts'

export interface PictureOptions {
  readonly mediaType: 'image/jpeg' | 'image/png'
  /** JPEG quality, 1 to 100. */
  readonly quality: number
  readonly window?: Window
  /** The picture is made to fit inside, keeping its shape; never enlarged beyond these. */
  readonly maxWidth?: number
  readonly maxHeight?: number
  /** Part of the image to show, in pixels of the image. */
  readonly region?: { readonly left: number; readonly top: number; readonly width: number; readonly height: number }
}

/** How a frame is compressed anew. */
export interface EncodeOptions {
  readonly transferSyntaxUid: string
  /** JPEG, 1 to 100. */
  readonly quality: number
  /** Lossy JPEG 2000: so many times smaller. */
  readonly ratio: number
  /** JPEG-LS near-lossless: how far a sample may be from its original. */
  readonly allowedError: number
  /** A lossless result is decoded again, and refused unless every sample is what it was. */
  readonly verify: boolean
}

/** One frame for a codec thread: decoded, and then shown, or compressed anew, or handed out as samples. */
export interface CodecWork {
  readonly bytes: Uint8Array
  readonly transferSyntaxUid: string
  readonly encapsulated: boolean
  readonly pixels: PixelDescription
  readonly picture?: PictureOptions
  readonly encode?: EncodeOptions
}

/** What is handed to the worker thread. */
export type RenderJob = CodecWork & { readonly id: number }

export type CodecAnswer =
  | { readonly id: number; readonly bytes: Uint8Array; readonly photometricInterpretation: string; readonly planarConfiguration: number }
  | { readonly id: number; readonly failure: string }
