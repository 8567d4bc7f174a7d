/** `bpfns events`: prints events until it is interrupted. */
import { AgentClient } from '../control/client.js';
import { type Event, formatEvent } from '../control/events.js';
import { printable } from './output.js';

/** Continues when the agent restarts. Returns when the agent has exited for good. */
export async function events(asJson: boolean, print: (line: string) => void): Promise<void> {
  const show = (line: string): void =>
    print(asJson ? line : printable(formatEvent(JSON.parse(line) as Event & { readonly time: string })));
  let agent: AgentClient | undefined = await AgentClient.connectOrStart();
  while (agent) {
    for await (const line of agent.lines({ op: 'events' })) show(line);
    agent = await AgentClient.connectAgain();
  }
}
