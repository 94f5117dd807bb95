/**
 * The benchmark's own logic: what it reads of others and what it makes of it. How fast anything is, is not asserted
 * here; that its parts work together is, on the smallest load there is.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type CpuProfile, summarize } from '../bench/hot-spots.ts'
import { HttpReader } from '../bench/http-reader.ts'
import { difference, figure, median, ratio } from '../bench/numbers.ts'
import { familyOf, parseStat, parseStatus } from '../bench/proc.ts'
import { parseCpuList } from '../bench/processes.ts'
import { formatMarkdown, judgeLines } from '../bench/report.ts'
import { makeBody, makeTemplate, numbersOf, type Wish } from '../bench/request.ts'
import { type Figures, type Line, SUITES } from '../bench/suites.ts'
import { compileUpstream, portOf } from '../bench/upstream.ts'
import { parseTime, parseWrk, wrkScript } from '../bench/wrk.ts'
import { decodeChat } from '../src/policy/chat.ts'
import { compiler, describeWith } from './support/requires.ts'

describe('figures', () => {
  test('the median is the middle, and nothing of nothing', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(median([])).toBeNull()
  })

  test('a ratio is taken round by round, and its median is what counts', () => {
    // The second round was disturbed, for both.
    expect(ratio([2, 200, 4], [1, 100, 1])).toBe(2)
    expect(difference([2, 200, 4], [1, 100, 1])).toBe(3)
  })

  test('rounds that one of the two lacks are left out', () => {
    expect(ratio([null, 6], [1, 2])).toBe(3)
    expect(ratio([6], [null])).toBeNull()
    expect(ratio([1, 6], [0, 3])).toBe(2)
    expect(difference([], [])).toBeNull()
  })

  test('are shown with three digits', () => {
    expect([12345.6, 123.4, 12.34, 1.234, 0, null].map(figure)).toEqual([
      '12,346',
      '123',
      '12.3',
      '1.23',
      '0.00',
      '–',
    ])
  })
})

describe('what wrk prints', () => {
  const OUTPUT = `Running 2s test @ http://127.0.0.1:40717
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   166.40ms  210.80ms   1.21s    89.09%
    Req/Sec   278.35    183.37   760.00     70.00%
  Latency Distribution
     50%  612.00us
     75%  148.38ms
     90%  426.31ms
     99%    1.06s 
  558 requests in 2.02s, 792.32KB read
`

  test('is read', () => {
    expect(parseWrk(OUTPUT)).toEqual({ requests: 558, seconds: 2.02, failed: 0, p50: 0.612, p99: 1060 })
  })

  test('failures are counted, whatever their kind', () => {
    const errors =
      '  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 90\nRequests/sec: 1\n'
    expect(parseWrk(OUTPUT + errors).failed).toBe(100)
  })

  test('anything else is refused, with what it was', () => {
    expect(() => parseWrk('unable to connect to 127.0.0.1:1')).toThrow('unable to connect')
    expect(() => parseTime('12 parsecs')).toThrow('12 parsecs')
  })

  test('its script makes the requests of the template', () => {
    const script = wrkScript({ pieces: ['POST /\r\n\r\n{"a":"\\"x\\n', '","u":"', '"}'], bytes: 0 }, 41)
    expect(script).toContain(
      String.raw`local a, b, c = "POST /\r\n\r\n{\"a\":\"\\\"x\\n", "\",\"u\":\"", "\"}"`,
    )
    expect(script).toContain('local n = 41\n')
  })
})

describe('/proc', () => {
  const stat = (pid: number, name: string, parent: number, times: string) =>
    `${pid} (${name}) S ${parent} 1 1 0 -1 4194304 100 0 0 0 ${times} 20 0 11 0 5000 1000000 2000 18446744073709551615\n`

  test('times are read behind any name a process may have', () => {
    expect(parseStat(stat(42, 'node', 1, '70 30 5 2'))).toEqual({ pid: 42, parent: 1, ticks: 107 })
    expect(parseStat(stat(42, 'a) S 9 (b', 7, '1 2 3 4'))).toEqual({ pid: 42, parent: 7, ticks: 10 })
    expect(parseStat('')).toBeNull()
  })

  test('a process counts with its children and theirs, and with no other', () => {
    const all = [
      { pid: 1, parent: 0, ticks: 1 },
      { pid: 10, parent: 1, ticks: 10 },
      { pid: 11, parent: 10, ticks: 100 },
      { pid: 12, parent: 11, ticks: 1_000 },
      { pid: 20, parent: 1, ticks: 10_000 },
    ]
    expect(familyOf(10, all).map(({ pid }) => pid)).toEqual([10, 11, 12])
    expect(familyOf(99, all)).toEqual([])
  })

  test('sizes are read in bytes', () => {
    const status = 'Name:\tnode\nVmHWM:\t   2048 kB\nVmRSS:\t    1024 kB\n'
    expect(parseStatus(status, 'VmHWM')).toBe(2_097_152)
    expect(parseStatus(status, 'VmRSS')).toBe(1_048_576)
    expect(parseStatus('Name:\tkthreadd\n', 'VmHWM')).toBeNull()
  })

  test('lists of cores are read', () => {
    expect(parseCpuList('0-2,5')).toEqual([0, 1, 2, 5])
    expect(parseCpuList('3')).toEqual([3])
    expect(parseCpuList('')).toEqual([])
  })
})

describe('requests', () => {
  const wishes: Wish[] = [
    { body: 'chat', size: 2048, bench: '' },
    { body: 'chat', size: 2048, bench: 'chunks=64,gap=10' },
    { body: 'history', size: 65_536, bench: 'delay=50' },
    { body: 'image', size: 100_000, bench: '' },
  ]

  test.each(wishes)('$body of $size bytes with "$bench" is a chat of about that size', (wish) => {
    const body = makeBody(wish, 1_234_567)
    expect(body.length / wish.size).toBeGreaterThan(0.9)
    expect(body.length / wish.size).toBeLessThan(1.1)
    const decoded = decodeChat(body)
    expect(decoded.user).toBe('user-004567')
    expect(decoded.stream).toBe(wish.bench.startsWith('chunks'))
    expect(JSON.stringify(decoded.messages()!.at(-1))).toContain('000001234567')
  })

  test('announce the length of their body', () => {
    for (const wish of wishes) {
      const { pieces, bytes } = makeTemplate(80, ['authorization: Bearer x'], wish)
      const [id, unit] = numbersOf(7)
      const whole = pieces[0] + id + pieces[1] + unit + pieces[2]
      const [head, body] = whole.split('\r\n\r\n') as [string, string]
      expect(head).toContain(`content-length: ${body.length}`)
      expect(whole.length).toBe(bytes)
    }
  })
})

describe('the reader of answers', () => {
  const ANSWERS = Buffer.from(
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello' +
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\ntrailer: x\r\n\r\n' +
      'HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n',
  )

  function read(pieces: readonly Buffer[]) {
    const heads: number[] = []
    let [bodies, ends] = [0, 0]
    const reader = new HttpReader({
      onHead: (status) => heads.push(status),
      onBody: () => bodies++,
      onEnd: () => ends++,
    })
    for (const piece of pieces) reader.push(piece)
    return { heads, bodies, ends }
  }

  test('finds heads and ends wherever the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(ANSWERS.length), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), ANSWERS.length]
        const pieces = at.slice(1).map((end, index) => ANSWERS.subarray(at[index]!, end))
        const { heads, ends } = read(pieces)
        expect({ heads, ends }).toEqual({ heads: [200, 200, 502], ends: 3 })
      }),
    )
  })

  test('tells once of each piece that holds body', () => {
    expect(read([ANSWERS]).bodies).toBe(2)
    const chunk = ANSWERS.indexOf('0123')
    expect(read([ANSWERS.subarray(0, chunk), ANSWERS.subarray(chunk)]).bodies).toBe(3)
  })

  test('refuses what it cannot read', () => {
    expect(() => read([Buffer.from('HTTP/1.1 200 OK\r\n\r\n')])).toThrow('without a length')
    expect(() => read([Buffer.from('nonsense\r\n\r\n')])).toThrow('no HTTP answer')
  })
})

describe('the lines a run is held to', () => {
  const line: Line = {
    number: '1',
    title: 'CPU per request',
    most: 3.5,
    unit: 'times nginx',
    figure: (figures) => ratio(figures('cpu', 'ballast'), figures('cpu', 'nginx')),
  }
  const figures =
    (own: number[]): Figures =>
    (_row, target) =>
      target === 'ballast' ? own : [10, 10, 10]

  test('pass, fail, and say when nothing was measured', () => {
    expect(judgeLines([line], figures([20, 90, 30]))[0]).toMatchObject({ passed: true, figure: 3 })
    expect(judgeLines([line], figures([20, 90, 36]))[0]).toMatchObject({ passed: false, figure: 3.6 })
    expect(judgeLines([line], figures([]))[0]).toMatchObject({ passed: null, figure: null })
  })

  test('and the rows name loads, targets and rows that there are', () => {
    for (const { loads, rows, targets, ratios, lines } of SUITES) {
      const names = targets.map(({ name }) => name)
      expect(rows.filter(({ load }) => loads[load] === undefined)).toEqual([])
      expect(ratios.flat().filter((name) => !names.includes(name))).toEqual([])
      const asked: [string, string][] = []
      for (const { figure: of } of lines) {
        of((row, target) => {
          asked.push([row, target])
          return []
        })
      }
      const unknown = asked.filter(
        ([row, name]) => !rows.some(({ id }) => id === row) || !names.includes(name),
      )
      expect(unknown).toEqual([])
    }
  })

  test('a table is aligned', () => {
    expect(
      formatMarkdown([
        ['', 'nginx'],
        ['requests/s', '1,000'],
        ['p50', '1'],
      ]),
    ).toBe('|            | nginx |\n|------------|------:|\n| requests/s | 1,000 |\n| p50        |     1 |')
  })
})

test('a profile is summed up by function, idle time left out', () => {
  const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber })
  const src = (name: string) => new URL(`../src/${name}`, import.meta.url).href
  const profile: CpuProfile = {
    nodes: [
      { id: 1, callFrame: frame('(root)'), children: [2, 3, 6] },
      { id: 2, callFrame: frame('(idle)') },
      { id: 3, callFrame: frame('relay', src('pipeline/relay.ts'), 9), children: [4, 5] },
      { id: 4, callFrame: frame('relay', src('pipeline/relay.ts'), 9) },
      { id: 5, callFrame: frame('write', 'node:_http_outgoing', 99) },
      { id: 6, callFrame: frame('(garbage collector)') },
    ],
    samples: [2, 3, 4, 5, 6],
    timeDeltas: [1_000, 30, 10, 35, 25],
  }
  const { own, area, whole } = summarize(profile)
  expect(own).toEqual([
    { place: 'relay src/pipeline/relay.ts:10', share: 0.4 },
    { place: 'write node:_http_outgoing:100', share: 0.35 },
    { place: '(garbage collector)', share: 0.25 },
  ])
  expect(area.map(({ place }) => place)).toEqual(['src/pipeline', 'node:', '(garbage collector)'])
  expect(whole).toEqual([{ place: 'relay src/pipeline/relay.ts:10', share: 0.75 }])
})

/** Starts one of the two upstreams; answers are given as text. */
async function startBenchUpstream(command: readonly [string, ...string[]]) {
  const child = spawn(command[0], command.slice(1))
  onTestFinished(() => void child.kill('SIGKILL'))
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  const url = `http://127.0.0.1:${portOf(said.toString())}`
  return async (path: string, bench: string) => {
    const body = makeBody({ body: 'chat', size: 200_000, bench }, 1)
    const headers = { 'content-type': 'application/json', ...(bench === '' ? {} : { 'x-bench': bench }) }
    const response = await fetch(url + path, { method: 'POST', headers, body })
    return { text: await response.text(), headers: [...response.headers] }
  }
}

const onNode = [process.execPath, join(import.meta.dirname, '../bench/upstream-node.ts')] as const

test('the upstream answers as it is asked to', async () => {
  const ask = await startBenchUpstream(onNode)
  const { text: json } = await ask('/v1/chat/completions', '')
  expect(json.length).toBeGreaterThan(900)
  expect(json.length).toBeLessThan(1200)
  const { text: judged } = await ask('/judge/v1/chat/completions', '')
  expect(JSON.parse(judged).choices[0].message.content).toBe('LLM')
  const { text: stream } = await ask('/v1/chat/completions', 'chunks=64,gap=1')
  expect(stream.match(/^data: \{/gm)).toHaveLength(64)
  expect(stream.endsWith('data: [DONE]\n\n')).toBe(true)
  const startedAt = performance.now()
  await ask('/v1/chat/completions', 'delay=50')
  expect(performance.now() - startedAt).toBeGreaterThan(45)
})

describeWith(compiler, 'the upstream in C', () => {
  test('gives the same answers as the one on Node', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    expect(compileUpstream(join(folder, 'upstream'))).toBe(true)
    const inC = await startBenchUpstream([join(folder, 'upstream')])
    const other = await startBenchUpstream(onNode)
    const wishes = ['', 'delay=5', 'chunks=3', 'chunks=64,gap=1', 'delay=5,chunks=2,gap=5']
    for (const path of ['/v1/chat/completions', '/judge/v1/chat/completions']) {
      for (const wish of wishes) expect(await inC(path, wish)).toEqual(await other(path, wish))
    }
  })
})
