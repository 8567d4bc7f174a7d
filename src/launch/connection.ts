/** The agent, by root's socket or the user's own. */
import { AgentClient, AgentError } from '../control/client.js';
import { userSocket } from '../control/user-socket.js';

/** @returns whether the socket is a user's: the daemon then knows who asks @throws AgentError */
export async function connect(): Promise<{ readonly agent: AgentClient; readonly isUsers: boolean }> {
  const socket = userSocket();
  if (socket === undefined) return { agent: await AgentClient.connectOrStart(), isUsers: false };
  const agent = await AgentClient.connectAgain(socket);
  if (!agent) throw new AgentError('EAGAIN', `nobody serves '${socket}': the daemon is down`);
  return { agent, isUsers: true };
}
