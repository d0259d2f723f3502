/** dcmjs ships no types; only what we use is described. */
declare module 'dcmjs' {
  interface Dcmjs {
    readonly data: {
      readonly DicomMetaDictionary: {
        readonly dictionary: Record<string, unknown>
        readonly nameMap: Record<string, unknown>
        denaturalizeDataset(dataset: Record<string, unknown>): Record<string, unknown>
        naturalizeDataset(dataset: Record<string, unknown>): Record<string, unknown>
      }
      readonly DicomDict: new (meta: Record<string, unknown>) => {
        dict: Record<string, unknown>
        write(options?: Record<string, unknown>): ArrayBuffer
      }
      readonly DicomMessage: {
        readFile(buffer: ArrayBuffer, options?: Record<string, unknown>): { meta: Record<string, unknown>; dict: Record<string, unknown> }
      }
    }
    readonly log: { setLevel(level: string): void }
  }
  const dcmjs: Dcmjs
  export default dcmjs
}
