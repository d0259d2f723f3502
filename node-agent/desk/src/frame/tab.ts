import type { Right } from 'specs'

/** A page behind a tab; `title` is a key of the page's own texts. */
export interface Tab {
  readonly path: string
  readonly title: string
  readonly rights: readonly Right[]
}
