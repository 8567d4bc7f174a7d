/** `bpfns events`: prints events until it is interrupted. */
import { formatEvent } from '../control/events.js';
import { startedClient } from './host-view.js';
import { printable } from './output.js';

/** Continues when the agent restarts. Returns when the agent has exited for good. */
export async function events(asJson: boolean, print: (line: string) => void): Promise<void> {
  const client = await startedClient();
  do {
    for await (const event of client.events()) {
      print(asJson ? JSON.stringify(event) : printable(formatEvent(event)));
    }
  } while (await client.isBack());
}
