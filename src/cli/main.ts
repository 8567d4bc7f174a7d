/** The command line: parses, calls one function per command, maps errors to exit statuses. */
import { writeSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { type Kind, kinds } from '../model/ids.js';
import { CliError } from './cli-error.js';

const VERSION = '0.1.0';
const EXIT_FAILED = 125;

const out = (text: string): void => {
  // Straight to the descriptor: complete even into a pipe when the process exits right after.
  for (let rest = Buffer.from(`${text}\n`); rest.length > 0; ) rest = rest.subarray(writeOnce(rest));
};

function writeOnce(data: Buffer): number {
  try {
    return writeSync(1, data);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EAGAIN') return 0;
    if (code === 'EPIPE') process.exit(0);
    throw error;
  }
}

function warn(line: string): void {
  writeSync(2, `bpfns: ${line}\n`);
}

function hostIdArgument(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1 || Number(text) > 0x7fffffff) {
    throw new InvalidArgumentError('A host id is a number above 0.');
  }
  return Number(text);
}

function requireRoot(what: string): void {
  if (process.geteuid?.() !== 0) throw new CliError(`${what} needs root`);
}

function program(): Command {
  const main = new Command('bpfns')
    .description('BPF namespaces on stock Linux kernels: a command sees, lists and opens only its own BPF objects.')
    .version(VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .enablePositionalOptions()
    .showHelpAfterError("Try 'bpfns --help' for more information.")
    .exitOverride()
    .configureOutput({ writeErr: (text) => void writeSync(2, text), writeOut: (text) => out(text.trimEnd()) });

  main
    .command('run')
    .description('run a command in a new BPF namespace; it replaces this process')
    .option('--name <name>', 'a name for the namespace', '')
    .addOption(
      new Option('--pins <which>', "which pins may be opened: the namespace's own, or any")
        .choices(['own', 'any'])
        .default('own'),
    )
    .argument('<command...>', 'the command and its arguments')
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nExit status: that of the command; 125 if bpfns fails, 126 if the command cannot be run, 127 if it is not found.',
    )
    .action(async (command: string[], options: { name: string; pins: 'own' | 'any' }) => {
      requireRoot('run');
      const { run } = await import('../launch/run.js');
      process.exit(await run({ ...options, command }, warn));
    });

  main
    .command('ls')
    .description('list the namespaces')
    .option('-j, --json', 'print JSON', false)
    .action(async ({ json }: { json: boolean }) => {
      requireRoot('ls');
      out((await import('./list.js')).listNamespaces(json));
    });

  for (const kind of kinds) addKind(main, kind);

  main
    .command('who')
    .description('tell of one object who made it, where it is visible, what keeps it alive')
    .addArgument(main.createArgument('<kind>', 'map, prog, link or btf').choices(kinds))
    .argument('<hostid>', "the object's id on the host", hostIdArgument)
    .option('-j, --json', 'print JSON', false)
    .action(async (kind: Kind, id: number, { json }: { json: boolean }) => {
      requireRoot('who');
      out((await import('./list.js')).who(kind, id, json));
    });

  main
    .command('doctor')
    .description('tell what this kernel allows and what is missing; exit status 0 if `run` would work')
    .option('-j, --json', 'print JSON', false)
    .action(async ({ json }: { json: boolean }) => {
      const { doctor } = await import('./doctor.js');
      const { text, isReady } = await doctor(json);
      out(text);
      process.exitCode = isReady ? 0 : 1;
    });

  main
    .command('agent', { hidden: true })
    .description('serve namespaces until none is left (started by `run`)')
    .option('--ready-fd <fd>', 'tell the outcome of the start there', Number)
    .action(async ({ readyFd }: { readyFd?: number }) => {
      const { agentMain } = await import('../agent/main.js');
      await agentMain(readyFd);
    });

  return main;
}

function addKind(main: Command, kind: Kind): void {
  main
    .command(kind)
    .description(`look at ${kind} objects as the host sees them`)
    .command('list')
    .description(`list every ${kind}: owner, creator, holders, pins`)
    .option('--ns <namespace>', 'only what this namespace (name or id) and those below it own')
    .option('-j, --json', 'print JSON', false)
    .action(async ({ ns, json }: { ns?: string; json: boolean }) => {
      requireRoot(`${kind} list`);
      out((await import('./list.js')).listObjects(kind, ns, json));
    });
}

/** `run` owes its caller 125 for any failure of its own, as env(1) does. */
const failure = process.argv[2] === 'run' ? EXIT_FAILED : 1;
try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exit(error.exitCode === 0 ? 0 : failure);
  }
  warn(error instanceof Error ? error.message : String(error));
  process.exit(error instanceof CliError && failure === 1 ? error.exitStatus : failure);
}
