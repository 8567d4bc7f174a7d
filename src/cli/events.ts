/** `bpfns events`: prints what happens until it is interrupted. */
import { AgentClient } from '../control/client.js';
import { type Event, formatEvent } from '../control/events.js';
import { printable } from './output.js';

/** How long a crashed or replaced agent may take to be there again, in ms. */
const PATIENCE = 5000;
const PAUSE = 50;

/** Goes on when the agent restarts; returns when it has ended for good. */
export async function events(asJson: boolean, print: (line: string) => void): Promise<void> {
  const show = (line: string): void =>
    print(asJson ? line : printable(formatEvent(JSON.parse(line) as Event & { readonly time: string })));
  let agent: AgentClient | undefined = await AgentClient.connectOrStart();
  while (agent) {
    await agent.follow({ op: 'events' }, show);
    agent = await nextAgent();
  }
}

async function nextAgent(): Promise<AgentClient | undefined> {
  for (const since = Date.now(); Date.now() - since < PATIENCE; ) {
    const agent = await AgentClient.connect();
    if (agent) return agent;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return undefined;
}
