/** What an answer's last bytes say of its tokens. */
import { expect, test } from 'vitest'
import { Tap } from '../../src/pipeline/tap.ts'
import { readUsage, USAGE_TAIL } from '../../src/pipeline/usage.ts'

const read = (text: string) => readUsage(Buffer.from(text))

test('usage is read in the words of each endpoint, streamed or not', () => {
  const chat = '{"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28}}'
  expect(read(chat)).toEqual({ input: 21, output: 7 })
  expect(read(`data: {"usage":null}\n\ndata: ${chat}\n\ndata: [DONE]\n\n`)).toEqual({ input: 21, output: 7 })
  const responses = '"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":3}'
  expect(read(`{"type":"response.completed","response":{${responses}}}`)).toEqual({ input: 5, output: 3 })
  expect(read('{"usage": {"prompt_tokens": 4}}')).toEqual({ input: 4, output: null })
})

test('what a model says about usage is not its usage', () => {
  const said = JSON.stringify({ content: '"usage": {"prompt_tokens": 1, "completion_tokens": 2}' })
  expect(read(said)).toBeNull()
  for (const text of ['', '{}', '"usage": null', '"usage": {}', '"usage": {"prompt_tokens": "9"}', '\u0000'])
    expect(read(text)).toBeNull()
})

test('only the end of a long answer is looked at, over chunks however they were cut', () => {
  const usage = '"usage":{"prompt_tokens":21,"completion_tokens":7}}'
  const text = `{"content": "${'x'.repeat(100_000)}",${usage}`
  for (const size of [1_000, 7, 100_000]) {
    const tap = new Tap()
    for (let at = 0; at < text.length; at += size) tap.push(Buffer.from(text.slice(at, at + size)))
    const tail = tap.tail(USAGE_TAIL)
    expect(tail.length).toBe(USAGE_TAIL)
    expect(readUsage(tail)).toEqual({ input: 21, output: 7 })
  }
})
