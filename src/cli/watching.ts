/** The commands that watch: what happens, and what it costs. */
import { type Command, InvalidArgumentError } from 'commander';
import { requireOutside } from './guards.js';
import type { WebFlags } from './web.js';

function countAboveZero(text: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value === 0) throw new InvalidArgumentError('Not a number above 0.');
  return value;
}

function seconds(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value < 0.1 || value > 3600) throw new InvalidArgumentError('Not a number of seconds from 0.1 to 3600.');
  return value;
}

interface TopFlags {
  readonly json: boolean;
  readonly count?: number;
  readonly interval: number;
}

export function addWatching(main: Command, out: (text: string) => void): void {
  main
    .command('events')
    .description('print events: namespaces, objects and containers that come and go, and refused calls')
    .option('-j, --json', 'print one JSON object per line', false)
    .action(async ({ json }: { json: boolean }) => {
      await requireOutside('events');
      await (await import('./events.js')).events(json, out);
    });

  main
    .command('top')
    .description('show live which namespaces, containers and programs take CPU and memory')
    .option('-j, --json', 'print one JSON object per sample', false)
    .option('-n, --count <n>', 'exit after this many samples', countAboveZero)
    .option('-i, --interval <seconds>', 'the time between two samples', seconds, 1)
    .action(async ({ json, count, interval }: TopFlags) => {
      await requireOutside('top');
      const { top } = await import('./top/top.js');
      await top({ json, count: count ?? Number.POSITIVE_INFINITY, interval }, out);
    });

  main
    .command('web')
    .description('serve a page that shows the same, and events, to browsers')
    .option('--listen <address>', 'where: an IP address and a port', '127.0.0.1:9655')
    .option('--host <name>', 'another name by which the page may be requested; repeat it for more', more, [])
    .option('--token-file <file>', 'a file with the token to ask for; required beyond the loopback')
    .option('--socket <path>', "the agent's read-only socket")
    .option('--user <name>', 'the user to become; required when started as root')
    .action(async (flags: WebFlags) => {
      await requireOutside('web');
      await (await import('./web.js')).web(flags, out);
    });
}

function more(name: string, all: readonly string[]): readonly string[] {
  return [...all, name.toLowerCase()];
}
