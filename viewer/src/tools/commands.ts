/** Tools that dragging uses. */
export const dragTools = ['scroll', 'window', 'zoom', 'pan', 'length'] as const
export type DragTool = (typeof dragTools)[number]

export type Command =
  | { readonly kind: 'tool'; readonly tool: DragTool }
  | { readonly kind: 'step'; readonly steps: number }
  | { readonly kind: 'preset'; readonly key: number }
  | { readonly kind: 'zoom'; readonly factor: number }
  | { readonly kind: 'rotate'; readonly degrees: number }
  | { readonly kind: 'series'; readonly step: number }
  | { readonly kind: SimpleCommand }

export type SimpleCommand =
  | 'first'
  | 'last'
  | 'invert'
  | 'flip-horizontal'
  | 'flip-vertical'
  | 'fit'
  | 'actual-size'
  | 'reset'
  | 'cine'
  | 'mark-key-image'
  | 'key-images-only'
  | 'delete-measurement'
  | 'clear-measurements'
  | 'toggle-texts'
  | 'toggle-panel'

export interface KeyPress {
  readonly key: string
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly altKey: boolean
  readonly shiftKey: boolean
}

const simple: Readonly<Record<string, Command>> = {
  ArrowUp: { kind: 'step', steps: -1 },
  ArrowLeft: { kind: 'step', steps: -1 },
  ArrowDown: { kind: 'step', steps: 1 },
  ArrowRight: { kind: 'step', steps: 1 },
  PageUp: { kind: 'step', steps: -10 },
  PageDown: { kind: 'step', steps: 10 },
  Home: { kind: 'first' },
  End: { kind: 'last' },
  ' ': { kind: 'cine' },
  s: { kind: 'tool', tool: 'scroll' },
  w: { kind: 'tool', tool: 'window' },
  z: { kind: 'tool', tool: 'zoom' },
  p: { kind: 'tool', tool: 'pan' },
  l: { kind: 'tool', tool: 'length' },
  i: { kind: 'invert' },
  h: { kind: 'flip-horizontal' },
  v: { kind: 'flip-vertical' },
  r: { kind: 'rotate', degrees: 90 },
  f: { kind: 'fit' },
  o: { kind: 'actual-size' },
  k: { kind: 'mark-key-image' },
  t: { kind: 'toggle-texts' },
  Escape: { kind: 'reset' },
  Delete: { kind: 'delete-measurement' },
  Backspace: { kind: 'delete-measurement' },
  '+': { kind: 'zoom', factor: 1.25 },
  '=': { kind: 'zoom', factor: 1.25 },
  '-': { kind: 'zoom', factor: 0.8 },
  '[': { kind: 'series', step: -1 },
  ']': { kind: 'series', step: 1 },
}

/** What a key does in the reading room; nothing together with a modifier, which belongs to the browser. */
export function commandOfKey({ key, ctrlKey, metaKey, altKey }: KeyPress): Command | undefined {
  if (ctrlKey || metaKey || altKey) return undefined
  if (/^[1-9]$/.test(key)) return { kind: 'preset', key: Number(key) }
  return simple[key.length === 1 ? key.toLowerCase() : key]
}

/** Whether a key pressed here is text being written, not a command. */
export function isWriting(target: { tagName?: string; isContentEditable?: boolean; type?: string } | null): boolean {
  if (!target) return false
  const tag = target.tagName?.toLowerCase()
  return (
    tag === 'textarea' ||
    tag === 'select' ||
    target.isContentEditable === true ||
    (tag === 'input' && target.type !== 'range' && target.type !== 'checkbox')
  )
}
