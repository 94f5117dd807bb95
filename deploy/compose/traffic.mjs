/**
 * Requests for the experiment of deploy/compose.yaml, a few a second, each of another user, until it is told to stop. Reads
 * BALLAST_URL, BALLAST_CLIENT_KEY and REQUESTS_PER_SECOND.
 */
import { setTimeout as sleep } from 'node:timers/promises'

const { BALLAST_URL, BALLAST_CLIENT_KEY, REQUESTS_PER_SECOND = '5' } = process.env
const QUESTIONS = [
  'How should I travel to the coast?',
  'What is the best way to send a message to a friend?',
  'Who is a great leader of our time?',
  'What should I have for dinner?',
  'What was the most important invention?',
]

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort())

async function ask(number) {
  const response = await fetch(`${BALLAST_URL}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${BALLAST_CLIENT_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'sandbox-birds-gpt-4.1',
      user: `user-${process.pid}-${Date.now()}-${number}`,
      stream: number % 2 === 0,
      messages: [{ role: 'user', content: QUESTIONS[number % QUESTIONS.length] }],
    }),
    signal: stop.signal,
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text}`)
}

for (let number = 0; !stop.signal.aborted; number++) {
  // One that fails is told and not tried again: the next one comes at once.
  await ask(number).catch((error) => {
    if (!stop.signal.aborted) console.error(String(error.cause ?? error))
  })
  await sleep(1000 / Number(REQUESTS_PER_SECOND), undefined, { signal: stop.signal }).catch(() => {})
}
