import {
  cache,
  Enums,
  eventTarget,
  getShouldUseCPURendering,
  imageLoader,
  init as initCore,
  RenderingEngine,
  utilities,
  type Types,
} from '@cornerstonejs/core'
import dicomImageLoader from '@cornerstonejs/dicom-image-loader'
import { ApiProblem } from 'page-kit'
import { acceptFor } from '../dicomweb/accepted-form.ts'
import { tags, text, type Dataset } from '../dicomweb/dataset.ts'
import { imageIdOf } from '../dicomweb/frame-url.ts'
import { forDrawing } from '../display/for-drawing.ts'
import { SeriesLoader } from '../loading/series-loader.ts'
import { detailsOfAnswer, undecodable } from '../problem/answer-details.ts'
import type { ImageFrame } from '../series/image-frame.ts'
import { startMeasuring, type Measuring } from './measuring.ts'
import { StackView } from './stack-view.ts'
import type { ViewState } from './view-state.ts'

export interface EngineSettings {
  /** Address of the DICOMweb service. */
  readonly root: string
  /** Memory for decoded images. */
  readonly cacheBytes: number
  /** WebGL contexts; each costs memory, and a phone has little. */
  readonly contexts: number
  /** Wording of a measured length. */
  readonly lengthText: Measuring['lengthText']
}

/** Cornerstone3D, started once; everything of it that the viewer uses goes through here and StackView. */
export class Engine {
  readonly #settings: EngineSettings
  readonly #rendering: RenderingEngine
  readonly #frames = new Map<string, ImageFrame>()
  readonly #loadedListeners = new Set<() => void>()
  readonly #sizes = new ResizeObserver(() => this.#resizeSoon())
  readonly measuring: Measuring
  readonly loader: SeriesLoader

  private constructor(settings: EngineSettings) {
    this.#settings = settings
    this.#rendering = new RenderingEngine('lianpian')
    this.measuring = startMeasuring({ lengthText: settings.lengthText, frameOf: (imageId) => this.#frames.get(imageId) })
    this.loader = new SeriesLoader({
      load: (imageId) => this.load(imageId, 'ahead'),
      isLoaded: (imageId) => cache.isLoaded(imageId),
      hasRoom: () => cache.getCacheSize() < settings.cacheBytes * 0.9,
    })
    for (const event of [Enums.Events.IMAGE_CACHE_IMAGE_ADDED, Enums.Events.IMAGE_CACHE_IMAGE_REMOVED]) {
      eventTarget.addEventListener(event, () => this.#loadedListeners.forEach((listener) => listener()))
    }
  }

  static start(settings: EngineSettings): Engine {
    initCore({ rendering: { webGlContextCount: settings.contexts } } as Parameters<typeof initCore>[0])
    dicomImageLoader.init({ maxWebWorkers: Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1)), beforeSend: headersFor })
    cache.setMaxCacheSize(settings.cacheBytes)
    return new Engine(settings)
  }

  /** Makes the pictures known to the loader. @returns their names, in order. */
  register(frames: readonly ImageFrame[]): readonly string[] {
    return frames.map((frame) => {
      const imageId = imageIdOf(this.#settings.root, frame)
      if (!this.#frames.has(imageId)) {
        this.#frames.set(imageId, frame)
        addMetadata(imageId, frame.dataset)
      }
      return imageId
    })
  }

  /** Loads and decodes one picture. @throws {ApiProblem} with the server's reason, or that it cannot be decoded. */
  async load(imageId: string, urgency: 'now' | 'ahead'): Promise<Types.IImage> {
    const requestType = urgency === 'now' ? Enums.RequestType.Interaction : Enums.RequestType.Prefetch
    const options = { requestType, priority: urgency === 'now' ? -5 : 5, useRGBA: getShouldUseCPURendering() }
    try {
      const known = cache.getImageLoadObject(imageId)
      if (known) return await known.promise
      const promise = imageLoader.loadImage(imageId, options)
      // The cache rejects beside the picture itself; whoever asked hears it from the picture.
      cache.putImageLoadObject(imageId, { promise }).catch(() => undefined)
      return await promise
    } catch (error) {
      throw problemOfLoading(error)
    }
  }

  isLoaded(imageId: string): boolean {
    return cache.isLoaded(imageId)
  }

  loadedAmong(imageIds: readonly string[]): number {
    return imageIds.reduce((sum, imageId) => sum + (cache.isLoaded(imageId) ? 1 : 0), 0)
  }

  onLoaded(listener: () => void): () => void {
    this.#loadedListeners.add(listener)
    return () => this.#loadedListeners.delete(listener)
  }

  /** A viewport in the element, which must have a size. */
  openView(viewId: string, element: HTMLDivElement, onChange: (state: ViewState) => void): StackView {
    this.#rendering.enableElement({
      viewportId: viewId,
      element,
      type: Enums.ViewportType.STACK,
      defaultOptions: { background: [0, 0, 0] },
    })
    this.measuring.attach(viewId, this.#rendering.id)
    this.#sizes.observe(element)
    return new StackView(this, this.#rendering.getViewport<Types.IStackViewport>(viewId), onChange)
  }

  closeView(viewId: string): void {
    this.measuring.detach(viewId, this.#rendering.id)
    this.loader.unfocus(viewId)
    this.#sizes.unobserve(this.#rendering.getViewport(viewId).element)
    this.#rendering.disableElement(viewId)
  }

  /** After viewports changed their size; several at once become one. */
  #resizing: number | undefined
  #resizeSoon(): void {
    this.#resizing ??= requestAnimationFrame(() => {
      this.#resizing = undefined
      const views = this.#rendering.getViewports() as Types.IStackViewport[]
      // Zoom counts from "fits", so a fitted picture still fits and an enlarged one stays as large in proportion.
      const before = views.map((view) => ({ view, presentation: view.getViewPresentation() }))
      this.#rendering.resize(true, false)
      for (const { view, presentation } of before) view.setViewPresentation(presentation)
      this.#rendering.render() // so that texts and measurements follow the new size
      this.measuring.redraw()
      // Cornerstone leaves a resize out while it is about to draw.
      if (views.some(({ canvas, element }) => Math.abs(canvas.width - element.clientWidth * devicePixelRatio) > 2)) this.#resizeSoon()
    })
  }

  /** Draws a picture small, for the list when the archive has no thumbnail. */
  async drawThumbnail(canvas: HTMLCanvasElement, frame: ImageFrame): Promise<void> {
    const [imageId = ''] = this.register([frame])
    await this.load(imageId, 'ahead')
    await utilities.loadImageToCanvas({ canvas, imageId, thumbnail: true, useCPURendering: getShouldUseCPURendering() })
    canvas.style.removeProperty('width')
    canvas.style.removeProperty('height')
    if (text(frame.dataset, tags.photometricInterpretation) === 'MONOCHROME1') canvas.style.filter = 'invert(1)'
  }
}

/** Told of each request for a frame; what it answers replaces the loader's own headers. */
function headersFor(_request: XMLHttpRequest, imageId: string): Promise<Record<string, string>> {
  const accept = acceptFor(dicomImageLoader.wadors.metaDataManager.get(imageId) as unknown as Dataset | undefined)
  const headers: Record<string, string> = accept === undefined ? {} : { Accept: accept }
  return Promise.resolve(headers)
}

/** The loader writes notes into the metadata it is given, so it gets its own copy of the top level. */
function addMetadata(imageId: string, dataset: Dataset): void {
  dicomImageLoader.wadors.metaDataManager.add(
    imageId,
    forDrawing(dataset) as unknown as Parameters<typeof dicomImageLoader.wadors.metaDataManager.add>[1],
  )
}

function problemOfLoading(error: unknown): ApiProblem {
  const details =
    error instanceof XMLHttpRequest ? detailsOfAnswer(error.status, error.status === 0 ? undefined : error.response) : undecodable
  return Object.assign(new ApiProblem(details), { cause: error })
}
