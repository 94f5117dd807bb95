/** Asks for one key at the terminal. Used by the commands that ask. */
import { createPrompt, isEnterKey, useKeypress, useState } from '@inquirer/core'

interface KeyQuestion {
  readonly message: string
  readonly keys: readonly string[]
}

const prompt = createPrompt<string, KeyQuestion>(({ message, keys }, done) => {
  const [pressed, setPressed] = useState<string | null>(null)
  useKeypress((key, line) => {
    // What is typed is no text to be kept in the line.
    line.clearLine(0)
    const name = isEnterKey(key) ? 'enter' : key.name
    if (pressed !== null || key.ctrl || !keys.includes(name)) return
    setPressed(name)
    done(name)
  })
  return pressed === null ? `${message} ` : `${message} ${pressed}`
})

/**
 * @param keys their names: letters, `enter`, `space`. Others are passed over.
 * @returns the one that was pressed. @throws Error named `ExitPromptError` when the person leaves with Ctrl-C.
 */
export async function askKey(
  message: string,
  keys: readonly string[],
  streams: { readonly input?: NodeJS.ReadableStream; readonly output?: NodeJS.WritableStream } = {},
): Promise<string> {
  return await prompt({ message, keys }, streams)
}
