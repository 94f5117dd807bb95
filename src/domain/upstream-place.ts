/** Where an upstream is: what traces and the log tell of it. */

export interface UpstreamPlace {
  /** As the configuration calls it. */
  readonly name: string
  readonly address: string
  readonly port: number
}

/** @param baseUrl of an upstream, as the configuration has it. */
export function placeOf(name: string, baseUrl: string): UpstreamPlace {
  const { protocol, hostname, port } = new URL(baseUrl)
  return { name, address: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}
