/** `bpfns events`: prints events until it is interrupted. */
import { formatEvent } from '../control/events.js';
import { printable, printableJson } from '../control/printable.js';
import { startedClient } from './host-view.js';

/** Continues when the agent restarts. Returns when the agent has exited for good. */
export async function events(asJson: boolean, print: (line: string) => void): Promise<void> {
  const client = await startedClient();
  do {
    for await (const event of client.events()) {
      print(asJson ? printableJson(event) : printable(formatEvent(event)));
    }
  } while (await client.isBack());
}
