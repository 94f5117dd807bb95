/** Run by `processes.ts`: opens the store that is named, says its unit key, and closes it. */
import { openStore } from '../../src/adapters/store.ts'
import { noLog } from '../../src/domain/ports.ts'

const store = await openStore(process.argv[2]!, { queueLimit: 1, log: noLog })
process.stdout.write(await store.unitKey())
await store.close()
