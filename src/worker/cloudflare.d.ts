/** The part of the runtime's own module that is used here; Cloudflare's types would replace Node's. */
declare module 'cloudflare:workers' {
  export abstract class DurableObject {
    constructor(state: import('@cloudflare/workers-types').DurableObjectState, env: unknown)
  }
}
