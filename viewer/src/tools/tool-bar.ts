import type { Command, DragTool } from './commands.ts'
import type { IconName } from './icons.ts'

/** One button of the bar; `label` is a key of the catalogue under `tool`. */
export interface ToolButton {
  readonly id: string
  readonly icon: IconName
  readonly label: string
  readonly hint: string
  readonly command: Command
  readonly pressed?: boolean
  readonly disabled?: boolean
}

export interface BarState {
  readonly tool: DragTool
  readonly hasImage: boolean
  readonly inverted: boolean
  readonly playing: boolean
  readonly canPlay: boolean
  readonly isKeyImage: boolean
  /** The reader holds the case, so that marks can be set and taken away. */
  readonly canMark: boolean
  readonly keyImagesOnly: boolean
  readonly hasKeyImages: boolean
  readonly textsShown: boolean
}

const drags: readonly { tool: DragTool; hint: string }[] = [
  { tool: 'scroll', hint: 'S' },
  { tool: 'window', hint: 'W' },
  { tool: 'zoom', hint: 'Z' },
  { tool: 'pan', hint: 'P' },
  { tool: 'length', hint: 'L' },
]

/** The bar in groups: what dragging does, what happens to the picture, what concerns the reading. */
export function toolBar(state: BarState): readonly (readonly ToolButton[])[] {
  const image = (id: string, icon: IconName, label: string, hint: string, command: Command, pressed = false): ToolButton => ({
    id,
    icon,
    label,
    hint,
    command,
    pressed,
    disabled: !state.hasImage,
  })
  return [
    drags.map(({ tool, hint }) => ({
      id: `tool-${tool}`,
      icon: tool,
      label: tool,
      hint,
      command: { kind: 'tool', tool },
      pressed: state.tool === tool,
    })),
    [
      image('invert', 'invert', 'invert', 'I', { kind: 'invert' }, state.inverted),
      image('rotate', 'rotate', 'rotate', 'R', { kind: 'rotate', degrees: 90 }),
      image('flip-horizontal', 'flipH', 'flipH', 'H', { kind: 'flip-horizontal' }),
      image('flip-vertical', 'flipV', 'flipV', 'V', { kind: 'flip-vertical' }),
      image('fit', 'fit', 'fit', 'F', { kind: 'fit' }),
      image('actual-size', 'actual', 'actual', 'O', { kind: 'actual-size' }),
      image('reset', 'reset', 'reset', 'Esc', { kind: 'reset' }),
      image('clear-measurements', 'clear', 'clear', '', { kind: 'clear-measurements' }),
    ],
    [
      {
        ...image('cine', state.playing ? 'pause' : 'cine', state.playing ? 'pause' : 'cine', '␣', { kind: 'cine' }, state.playing),
        disabled: !state.canPlay,
      },
      image(
        'mark-key-image',
        state.isKeyImage ? 'starFilled' : 'star',
        state.isKeyImage && state.canMark ? 'unmark' : 'mark',
        'K',
        { kind: 'mark-key-image' },
        state.isKeyImage,
      ),
      {
        ...image('key-images-only', 'keyOnly', 'keyOnly', '', { kind: 'key-images-only' }, state.keyImagesOnly),
        disabled: !state.hasKeyImages,
      },
      image('toggle-texts', 'texts', 'texts', 'T', { kind: 'toggle-texts' }, !state.textsShown),
    ],
  ]
}
