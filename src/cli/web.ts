/** `bpfns web`: checks what it is to do, gives up root, and serves the page. */
import { readFileSync } from 'node:fs';
import { accountOf } from '../config/group.js';
import { paths } from '../config/paths.js';
import { parseListen } from '../web/access.js';
import { optionProblem, serveWeb, type WebOptions } from '../web/server.js';
import { CliError } from './cli-error.js';

export interface WebFlags {
  readonly listen: string;
  readonly host: readonly string[];
  readonly tokenFile?: string;
  readonly socket?: string;
  readonly user?: string;
}

/** Resolves once the page is served; the process then serves until it is ended. @throws CliError */
export async function web(flags: WebFlags, print: (line: string) => void): Promise<void> {
  const listen = parseListen(flags.listen);
  if (!listen) throw new CliError(`'${flags.listen}' is no address and port, such as 127.0.0.1:9655`);
  // What root alone may read is read before root is given up.
  const token = flags.tokenFile === undefined ? undefined : readToken(flags.tokenFile);
  const options: WebOptions = { listen, token, hosts: flags.host, socket: flags.socket ?? paths.readOnlySocket };
  const problem = optionProblem(options);
  if (problem !== undefined) throw new CliError(problem);
  become(flags.user);
  await serveWeb(options);
  print(`serving http://${flags.listen}/`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));
}

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new CliError(`cannot read the token: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** No HTTP is spoken by root: with its groups, and without its capabilities. */
function become(user: string | undefined): void {
  const isRoot = process.geteuid?.() === 0;
  if (!isRoot && user === undefined) return;
  if (user === undefined) throw new CliError('web does not run as root: name a user of the group with --user');
  const account = accountOf(user);
  if (!account) throw new CliError(`cannot become '${user}': there is no such user`);
  if (account.uid === 0) throw new CliError(`cannot become '${user}': that is root again`);
  try {
    process.setgroups?.([...account.groups]);
    process.setgid?.(account.gid);
    process.setuid?.(account.uid);
  } catch (error) {
    throw new CliError(`cannot become '${user}': ${error instanceof Error ? error.message : String(error)}`);
  }
}
