/**
 * What the data plane's tests ask and workerd cannot do: the one table of it, held by `workerd-setup.ts`. `docs/workers.md`
 * tells users.
 */

/** By file below `test/`, then by the test's name, its suites' in front; a `*` at the end stands for any rest. */
export const EXCEPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {}
