/** The runtime's own `fetch` for judges, bounded: used by `judge-openai-client.ts` where it is given no other. */
import { type JudgeFetch, LARGEST_REPLY, ReplyTooLargeError } from './judge-openai-options.ts'

export const fetchByRuntime: JudgeFetch = async (address, init) => {
  const response = await fetch(address, init)
  if (response.body === null) return response
  let size = 0
  const limit = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      size += chunk.byteLength
      if (size > LARGEST_REPLY) controller.error(new ReplyTooLargeError())
      else controller.enqueue(chunk)
    },
  })
  return new Response(response.body.pipeThrough(limit), response)
}
