export { buildKeyObjectSelection, KEY_OBJECT_SELECTION, type KeyObjectInput, type KeyObjectStudy } from './build.ts'
export { keyObjectTitles, type Code } from './code.ts'
export { keyObjectOf, readKeyObjectSelection, type KeyObjectSelection } from './read.ts'
