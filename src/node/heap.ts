/** How V8 keeps the memory of a process that serves requests. Called by `cli/serve.ts`. */
import { setFlagsFromString } from 'node:v8'

/**
 * Has what a request makes begin as young, always. V8 watches which kinds of objects live long and then makes those old from
 * the start; after a pause in the traffic it takes parts of a request for such. Each then keeps all it refers to until the
 * old are collected: measured, 36% of what was allocated stayed instead of 1%, at a fifth more CPU per request.
 */
export function keepRequestsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
