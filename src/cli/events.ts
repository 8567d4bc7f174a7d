/** `bpfns events`: prints what happens until it is interrupted. */
import { AgentClient } from '../control/client.js';
import { type Event, formatEvent } from '../control/events.js';

/** Returns only when the agent has ended for good. */
export async function events(asJson: boolean, print: (line: string) => void): Promise<void> {
  const agent = await AgentClient.connectOrStart();
  await agent.follow({ op: 'events' }, (line) =>
    print(asJson ? line : formatEvent(JSON.parse(line) as Event & { readonly time: string })),
  );
}
