import { describe, expect, it } from 'vitest'
import { SeriesLoader } from './series-loader.ts'

/** A server whose answers are given by hand. */
function aServer(broken: readonly string[] = []) {
  const asked: string[] = []
  const loaded = new Set<string>()
  const waiting = new Map<string, () => void>()
  return {
    asked,
    loaded,
    load: (imageId: string) =>
      new Promise<void>((resolve, reject) => {
        asked.push(imageId)
        waiting.set(imageId, () => (broken.includes(imageId) ? reject(new Error('broken')) : (loaded.add(imageId), resolve())))
      }),
    isLoaded: (imageId: string) => loaded.has(imageId),
    hasRoom: () => true,
    async answer(imageId: string) {
      waiting.get(imageId)?.()
      await new Promise((resolve) => setTimeout(resolve))
    },
  }
}
const ids = ['0', '1', '2', '3', '4', '5']

describe('fetching a series ahead', () => {
  it('asks for neighbours first and never for more than the connections allow', async () => {
    // VWR-02
    const server = aServer()
    new SeriesLoader(server, 2).focus('v', ids, 2, 1)
    expect(server.asked).toEqual(['3', '4'])
    await server.answer('3')
    expect(server.asked).toEqual(['3', '4', '1'])
  })

  it('turns to where the reader is now', async () => {
    const server = aServer()
    const loader = new SeriesLoader(server, 1)
    loader.focus('v', ids, 0, 1)
    loader.focus('v', ids, 5, -1)
    await server.answer('1')
    expect(server.asked).toEqual(['1', '4'])
  })

  it('goes on past a broken picture and asks for it again only when somebody looks at it', async () => {
    const server = aServer(['1'])
    const loader = new SeriesLoader(server, 1)
    loader.focus('v', ids, 0, 1)
    for (const imageId of ['1', '2', '3', '4', '5']) await server.answer(imageId)
    expect(server.asked).toEqual(['1', '2', '3', '4', '5'])
    expect(loader.failedAmong(ids)).toBe(1)
    loader.forgetFailure('1')
    loader.focus('v', ids, 0, 1)
    expect(server.asked.at(-1)).toBe('1')
  })

  it('asks for nothing ahead when memory is full', () => {
    const server = { ...aServer(), hasRoom: () => false }
    new SeriesLoader(server).focus('v', ids, 0, 1)
    expect(server.asked).toEqual([])
  })
})
