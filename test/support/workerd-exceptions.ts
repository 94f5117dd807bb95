/**
 * What the data plane's tests ask and a Worker does not do: the one table of it, held by `workerd-setup.ts`.
 * `docs/workers.md` tells users.
 */

const NO_PAGE = 'a Worker has no page'
const NO_DRAIN = 'nothing tells a Worker that it ends; the runtime lets its requests end'
const NO_FILE = 'it opens the file of the store; a Worker has D1'
const NO_DISK = 'a Worker has no disk: what is not in the bundle is no configuration of it'
const LOGGED = 'a configuration that is wrong is told in the log and by /readyz, not to who starts it'
const RUNTIME_READS_HTTP = 'the runtime reads HTTP and answers what is none by itself, in its own words'
const RESOLVED_PATHS =
  'the runtime resolves `..` and whole URLs first: the path that is meant is served, with its context'
const NO_INFORMATION = 'fetch shows no informational answers'
const NO_TRAILERS = 'fetch shows no trailers'
const HEAD_WITH_BODY = 'the runtime sends the head with the first byte of the body'
const HEADER_BYTES = 'the runtime takes header values for UTF-8'
const OWN_HEADERS = 'requests say `cf-worker` and `accept-encoding`, names in lower case'
const OPEN_CONNECTION = 'the runtime keeps the connection open after it has refused'
const UPLOAD_CUT =
  'the runtime may close the connection of a request it did not read whole, and its answer is lost on the way'
const OTHER_PROCESS = 'it measures memory in this process, and a Worker is in another'

/** By file below `test/`, then by the test's name, its suites' in front; a `*` at the end stands for any rest. */
export const EXCEPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'contract/exchanges.test.ts': {
    '269 exchanges, the same through the proxy as direct > answer headers: Latin-1*': HEADER_BYTES,
    '269 exchanges, the same through the proxy as direct > request headers: empty and Latin-1*': HEADER_BYTES,
    '269 exchanges, the same through the proxy as direct > answer headers: headers of this connect*':
      NO_TRAILERS,
    '269 exchanges, the same through the proxy as direct > a 304 that names the length*':
      'the runtime sends no length where there is no body',
  },
  'http/attacks.test.ts': {
    'paths > /v1/chat/./completions*': RESOLVED_PATHS,
    'paths > /v1/chat/completions#x*': RESOLVED_PATHS,
    'paths > /v1/x/../chat/completions*': RESOLVED_PATHS,
    'paths > a whole URL as target*': RESOLVED_PATHS,
    'places and connections > a client that stays after its 408*': RUNTIME_READS_HTTP,
    'requests in a row on one connection > a body that stalls*': RUNTIME_READS_HTTP,
    'requests in a row on one connection > rubbish behind a request*': RUNTIME_READS_HTTP,
    'what HTTP itself may not do > TRACE*': OPEN_CONNECTION,
    'what HTTP itself may not do > another transfer coding*': RUNTIME_READS_HTTP,
    'what HTTP itself may not do > no host*': RUNTIME_READS_HTTP,
    'what HTTP itself may not do > two hosts*': RUNTIME_READS_HTTP,
  },
  'http/control-plane.test.ts': {
    'the control plane > serves a page*': NO_PAGE,
    'the control plane > asks for its token, for all but metrics*':
      'a Worker listens to the world: its metrics need the token, too (test/worker/settings.test.ts)',
  },
  'http/draining.test.ts': { 'while ballast ends > *': NO_DRAIN },
  'http/experiments.test.ts': {
    'a policy that is not applied > *': NO_DISK,
    'what is stored of a unit > is its hash*': NO_FILE,
    'what is stored of a unit > is under a key*': NO_FILE,
    'who is kept out > an arm is switched off while requests run*':
      'it reaches into the process; test/worker/settings.test.ts does it by the settings',
  },
  'http/faults.test.ts': {
    'after the head of an answer (whole) > chunked, reset before the first byte*': HEAD_WITH_BODY,
    'after the head of an answer (whole) > content-length, reset before the first byte*': HEAD_WITH_BODY,
    'an upstream that answers early and reads no further > *': UPLOAD_CUT,
    'informational answers > 100 Continue*': NO_INFORMATION,
  },
  'http/fuzz.test.ts': { '*': NO_DISK },
  'http/limits.test.ts': {
    'limits > a head that is too large*': RUNTIME_READS_HTTP,
    'limits > a length and chunks*': RUNTIME_READS_HTTP,
    'limits > a request that does not come in whole*': RUNTIME_READS_HTTP,
    'limits > another expectation*': RUNTIME_READS_HTTP,
    'limits > what is not HTTP*': RUNTIME_READS_HTTP,
  },
  'http/passthrough.test.ts': {
    'pass-through > a WebSocket is refused*': OPEN_CONNECTION,
  },
  'http/proxy.test.ts': {
    'what the upstream is sent > its own key*': OWN_HEADERS,
    'errors of its own, in the shape of OpenAI > 502 when the upstream is down*':
      'fetch gives no code for why a connection failed',
    'hostile ends > a client that is refused while it still uploads*': UPLOAD_CUT,
    'hostile ends > a body in chunks of one byte*': OTHER_PROCESS,
    'streams > send their head before there is anything*': HEAD_WITH_BODY,
  },
  'http/relaying.test.ts': {
    'headers > a list says what passes*': OWN_HEADERS,
    'headers > by default nothing passes*': OWN_HEADERS,
    'headers > default and names of one’s own*': OWN_HEADERS,
    'headers > each upstream has its own*': OWN_HEADERS,
    'headers > headers: {*': LOGGED,
    'headers > api_key: sk-1, headers: {set*': LOGGED,
    'informational answers > do not reach*': NO_INFORMATION,
    'informational answers > reach the client*': NO_INFORMATION,
    'trailers > reach the client*': NO_TRAILERS,
  },
  'http/triggers.test.ts': { 'flagged samples > that are not drawn*': NO_FILE },
}
