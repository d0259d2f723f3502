import { metaData, type Types } from '@cornerstonejs/core'
import {
  addTool,
  annotation,
  Enums as ToolEnums,
  init as initTools,
  LengthTool,
  state as toolState,
  ToolGroupManager,
  utilities as toolUtilities,
} from '@cornerstonejs/tools'
import { imagePointOf, type ImagePlane } from '../measure/image-plane.ts'
import { lengthBetween, type Length } from '../measure/length.ts'
import { chooseSpacing } from '../measure/spacing.ts'
import type { ImageFrame } from '../series/image-frame.ts'

/** Length measurement with Cornerstone's tool for drawing and our own arithmetic for the number. */
export interface Measuring {
  lengthText(length: Length): readonly string[]
  attach(viewId: string, renderingEngineId: string): void
  detach(viewId: string, renderingEngineId: string): void
  /** Whether the primary button (or one finger) draws a length. */
  setActive(active: boolean): void
  /** True while a handle or label is being dragged, so that the drag does nothing else. */
  isBusy(): boolean
  /** Removes what was measured on this picture; all of it, or only what is selected. */
  clear(imageId: string, which: 'all' | 'selected'): number
  lengthsOn(imageId: string): readonly Length[]
  /** Draws the measurements again, after the viewports changed their size. */
  redraw(): void
}

const GROUP = 'lianpian'
const { MouseBindings } = ToolEnums

export function startMeasuring({
  lengthText,
  frameOf,
}: {
  lengthText: Measuring['lengthText']
  frameOf(imageId: string): ImageFrame | undefined
}): Measuring {
  initTools()
  addTool(LengthTool)
  const group = ToolGroupManager.createToolGroup(GROUP) ?? ToolGroupManager.getToolGroup(GROUP)
  if (!group) throw new Error('tool group was not created')
  const measured = (imageId: string, points: readonly Types.Point3[]): Length | undefined => {
    const [plane, frame, [a, b]] = [planeOf(imageId), frameOf(imageId), points]
    if (!plane || !frame || !a || !b) return undefined
    return lengthBetween(imagePointOf(plane, a), imagePointOf(plane, b), chooseSpacing(frame.dataset, frame.frame))
  }
  group.addTool(LengthTool.toolName, {
    getTextLines: (data: { handles: { points: Types.Point3[] } }, targetId: string) => {
      const length = measured(targetId.replace(/^imageId:/, ''), data.handles.points)
      return length && [...lengthText(length)]
    },
  })
  group.setToolPassive(LengthTool.toolName)
  styleMeasurements()
  const redraw = (): void => toolUtilities.triggerAnnotationRenderForViewportIds(group.getViewportIds())
  const annotationsOn = (imageId: string) =>
    annotation.state.getAllAnnotations().filter((one) => one.metadata?.referencedImageId === imageId)
  return {
    lengthText,
    attach: (viewId, renderingEngineId) => group.addViewport(viewId, renderingEngineId),
    detach: (viewId, renderingEngineId) => group.removeViewports(renderingEngineId, viewId),
    setActive: (active) => {
      if (active) group.setToolActive(LengthTool.toolName, { bindings: [{ mouseButton: MouseBindings.Primary }, { numTouchPoints: 1 }] })
      else group.setToolPassive(LengthTool.toolName, { removeAllBindings: true })
    },
    isBusy: () => toolState.isInteractingWithTool,
    clear: (imageId, which) => {
      const doomed = annotationsOn(imageId).filter(
        ({ annotationUID = '' }) => which === 'all' || annotation.selection.isAnnotationSelected(annotationUID),
      )
      for (const { annotationUID = '' } of doomed) annotation.state.removeAnnotation(annotationUID)
      if (doomed.length > 0) redraw()
      return doomed.length
    },
    redraw,
    lengthsOn: (imageId) => annotationsOn(imageId).flatMap((one) => measured(imageId, one.data.handles?.points ?? []) ?? []),
  }
}

function planeOf(imageId: string): ImagePlane | undefined {
  const plane = metaData.get('imagePlaneModule', imageId)
  if (!plane?.rowCosines || !plane.columnCosines) return undefined
  return {
    origin: plane.imagePositionPatient,
    row: plane.rowCosines,
    columnSpacing: plane.columnPixelSpacing || 1,
    column: plane.columnCosines,
    rowSpacing: plane.rowPixelSpacing || 1,
  }
}

function styleMeasurements(): void {
  const old = annotation.config.style.getDefaultToolStyles()
  annotation.config.style.setDefaultToolStyles({
    ...old,
    global: {
      ...old['global'],
      color: 'rgb(255, 213, 92)',
      colorHighlighted: 'rgb(94, 214, 226)',
      colorSelected: 'rgb(94, 214, 226)',
      lineWidth: '1.5',
      textBoxFontSize: '14px',
      textBoxFontFamily: 'system-ui, "PingFang SC", "Microsoft YaHei", sans-serif',
      textBoxColor: 'rgb(255, 213, 92)',
      textBoxColorHighlighted: 'rgb(94, 214, 226)',
      textBoxColorSelected: 'rgb(94, 214, 226)',
    },
  })
}
