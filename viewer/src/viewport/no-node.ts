/** What a page finds in place of Node's modules that decoders mention. */
export default {}
