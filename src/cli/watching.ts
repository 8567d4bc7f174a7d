/** The commands that watch: what happens, and what it costs. */
import { type Command, InvalidArgumentError } from 'commander';
import { requireHost, requireOutside } from './guards.js';

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
      await requireHost('events');
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
}
