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

/** What is handed to the worker thread. */
export interface RenderJob {
  readonly id: number
  readonly bytes: Uint8Array
  readonly transferSyntaxUid: string
  readonly encapsulated: boolean
  readonly pixels: PixelDescription
  /** Absent: the decoded samples themselves are wanted. */
  readonly picture?: PictureOptions
}

export type RenderAnswer = { readonly id: number; readonly bytes: Uint8Array } | { readonly id: number; readonly failure: string }
