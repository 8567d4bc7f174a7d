/** `bpfns tracefs`: has the agent make the view of tracefs for containers. */
import { AgentClient } from '../control/client.js';
import type { TracefsReply } from '../control/protocol.js';
import { CliError } from './cli-error.js';

/** @returns the view's directory @throws CliError, AgentError */
export async function tracefs(): Promise<string> {
  const agent = await AgentClient.connect();
  if (!agent) throw new CliError("no agent is running, and the view goes with it: start 'bpfns daemon' first");
  try {
    return (await agent.ask<TracefsReply>({ op: 'tracefs' })).path;
  } finally {
    agent.close();
  }
}
