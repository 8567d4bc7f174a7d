/** The commands `run` and `exec`. */
import type { Command } from 'commander';
import type { TracingMode } from '../model/namespaces.js';
import { CliError } from './cli-error.js';
import { requireHost } from './guards.js';
import { delegateOption, noStatsOption, pinsOption, tracingOption } from './options.js';
import { warn } from './standard-streams.js';

const EXIT_STATUS = `
Exit status: that of the command; 125 if bpfns fails, 126 if the command cannot be executed, 127 if it is not found.`;

export function addRun(main: Command): void {
  main
    .command('run')
    .description("run a command in a new BPF namespace below the caller's; the command replaces this process")
    .option('--name <name>', 'the name of the namespace while it lives', '')
    .option('--parent <namespace>', 'the parent namespace (id, name, pid:N); needs root')
    .addOption(pinsOption())
    .addOption(
      tracingOption(
        'what may be traced inside: everything, own tasks (by CAP_BPF alone), own tasks (by CAP_PERFMON), nothing',
      ),
    )
    .option('--no-nesting', 'do not trap clone3 and unshare: programs inside cannot create namespaces with them')
    .addOption(noStatsOption())
    .addOption(delegateOption())
    .argument('<command...>', 'the command and its arguments')
    .passThroughOptions()
    .addHelpText('after', EXIT_STATUS)
    .action(async (command: string[], options: RunFlags) => {
      if (options.parent !== undefined) await requireHost('run --parent');
      const { run } = await import('../launch/run.js');
      const { name, pins, parent, tracing, stats, delegate } = options;
      const nesting = options.nesting ? 'auto' : false;
      process.exit(await run({ name, pins, parent, tracing, nesting, stats, delegate, command }, warn));
    });

  main
    .command('exec')
    .description('run a command in an existing namespace; the command replaces this process')
    .argument('<namespace>', 'id, name or pid:N')
    .argument('<command...>', 'the command and its arguments')
    .passThroughOptions()
    .addHelpText('after', EXIT_STATUS)
    .action(async (namespace: string, operands: string[]) => {
      await requireHost('exec');
      // Behind the namespace's name a '--' is an operand to the parser.
      const command = operands[0] === '--' ? operands.slice(1) : operands;
      if (command.length === 0) throw new CliError("exec needs a command: try 'bpfns exec --help'");
      const { exec } = await import('../launch/run.js');
      process.exit(await exec(namespace, command, warn));
    });
}

interface RunFlags {
  readonly name: string;
  readonly pins: 'own' | 'any';
  readonly parent?: string;
  readonly nesting: boolean;
  readonly stats: boolean;
  readonly delegate?: string;
  readonly tracing?: TracingMode;
}
