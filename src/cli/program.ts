/** The command line: every command with its options, and the one function that each calls. */
import type { Command } from 'commander';
import { type Kind, kinds } from '../model/ids.js';
import type { TracingMode } from '../model/namespaces.js';
import { count, hostIdArgument, pidArgument } from './arguments.js';
import { requireHost, requireOutside } from './guards.js';
import { addRun } from './launching.js';
import { mainCommand, out } from './main-command.js';
import { delegateOption, noStatsOption, pinsOption, tracingOption } from './options.js';
import type { ProfileFlags } from './profile.js';
import { addServices } from './services.js';
import { warn } from './standard-streams.js';
import { addWatching } from './watching.js';

/** Also what the manual and the shell completion are generated from. */
export function program(): Command {
  const main = mainCommand();

  addRun(main);
  addNamespaces(main);
  for (const kind of kinds) addKind(main, kind);

  main
    .command('who')
    .description('show who created an object, where it is visible and what keeps it alive')
    .addArgument(main.createArgument('<kind>', 'map, prog, link or btf').choices(kinds))
    .argument('<hostid>', "the object's id on the host", hostIdArgument)
    .option('-j, --json', 'print JSON', false)
    .addOption(
      main
        .createOption('-g, --graph', 'print what keeps it alive as a graph for dot(1)')
        .default(false)
        .conflicts('json'),
    )
    .action(async (kind: Kind, id: number, { json, graph }: { json: boolean; graph: boolean }) => {
      await requireOutside('who');
      const { who, whoGraph } = await import('./list.js');
      out(await (graph ? whoGraph(kind, id) : who(kind, id, json)));
    });

  addProfile(main);
  addBpffs(main);

  main
    .command('doctor')
    .description('show what this kernel supports and what is missing; exit status 0 if `run` works')
    .option('-j, --json', 'print JSON', false)
    .action(async ({ json }: { json: boolean }) => {
      const { doctor } = await import('./doctor.js');
      const { text, isReady } = await doctor(json);
      out(text);
      process.exitCode = isReady ? 0 : 1;
    });

  addServices(main);

  addWatching(main, out);

  main
    .command('__complete', { hidden: true })
    .argument('<what>')
    .action(async (what: string) => {
      const { complete } = await import('./complete.js');
      out((await complete(what)).join('\n'));
    });

  return main;
}

interface CreateFlags {
  readonly parent: string;
  readonly pins: 'own' | 'any';
  readonly ownerUid: number;
  readonly maxNamespaces: number;
  readonly tracing?: TracingMode;
}

function addNamespaces(main: Command): void {
  main
    .command('create')
    .description('create a namespace that lives until it is removed, with or without tasks')
    .argument('<name>', 'the name of the namespace')
    .option('--parent <namespace>', 'the parent namespace', 'init')
    .addOption(pinsOption())
    .addOption(tracingOption('what may be traced inside (default: as in the parent)'))
    .option('--owner-uid <uid>', 'the user who owns it: it counts against their limit', count, 0)
    .option('--max-namespaces <n>', 'the most namespaces below it; 0: no limit of its own', count, 0)
    .action(async (name: string, options: CreateFlags) => {
      await requireHost('create');
      await (await import('./namespaces.js')).create({ name, ...options, tracing: options.tracing ?? 'parent' });
    });

  main
    .command('rm')
    .description('remove a namespace; it lives on while something uses it')
    .argument('<namespace>', 'id or name')
    .option('--objects', 'also detach and unpin the objects that keep it alive', false)
    .option('-y, --yes', 'do not ask for confirmation', false)
    .action(async (namespace: string, options: { objects: boolean; yes: boolean }) => {
      await requireHost('rm');
      const text = await (await import('./namespaces.js')).remove(namespace, options);
      if (text !== '') out(text);
    });

  main
    .command('of')
    .description('show the namespace of a process: bpf:[inode], name, level')
    .argument('<pid>', 'a process or thread id, or self', pidArgument)
    .option('-j, --json', 'print JSON', false)
    .action(async (pid: string, { json }: { json: boolean }) => {
      if (pid !== 'self') await requireOutside('of');
      out(await (await import('./namespaces.js')).of(pid, json));
    });

  main
    .command('ps')
    .description('list the processes in namespaces other than init')
    .argument('[namespace]', 'list only this namespace: id or name')
    .option('-j, --json', 'print JSON', false)
    .action(async (namespace: string | undefined, { json }: { json: boolean }) => {
      await requireOutside('ps');
      out(await (await import('./namespaces.js')).ps(namespace, json));
    });

  main
    .command('ls')
    .description('list the namespaces')
    .option('-j, --json', 'print JSON', false)
    .option('-T, --tree', 'show the tree: indent each namespace below its parent', false)
    .action(async ({ json, tree }: { json: boolean; tree: boolean }) => {
      await requireOutside('ls');
      out(await (await import('./namespaces.js')).list(json, tree));
    });
}

function addProfile(main: Command): void {
  const runDirectory = process.env.BPFNS_RUN_DIR ?? '/run/bpfns';
  main
    .command('profile')
    .description('write a seccomp profile with which a container engine hands its containers to bpfns')
    .option('--base <file>', "the profile to start from (default: the installed engine's, or a small built-in one)")
    .option('--listener <path>', "the daemon's socket", `${runDirectory}/seccomp.sock`)
    .option(
      '--metadata <text>',
      'settings for the daemon, separated by commas: name=, parent=, pins=own|any, tracing=, share=pod, annotations=allow',
      '',
    )
    .option(
      '--cap-add <list>',
      'capabilities of the container, which decide on rules of the base',
      'bpf,perfmon,net_admin',
    )
    .option('--nesting', 'also trap clone3: programs in the container can create namespaces', false)
    .addOption(noStatsOption())
    .addOption(delegateOption())
    .addOption(tracingOption('what containers may trace: unless host, BPF_PROG_LOAD and perf_event_open are trapped'))
    .option('--wait-killable', 'only fatal signals interrupt a trapped call (runc 1.5 or crun 1.6, Linux 5.19)', false)
    .option('-o, --output <file>', 'the file to write (default: standard output)')
    .action(async (flags: ProfileFlags) => {
      const text = (await import('./profile.js')).profile(flags, warn);
      if (text !== '') out(text);
    });

  main
    .command('tracefs')
    .description('make a read-only view of tracefs for containers that trace their own tasks; print its directory')
    .action(async () => {
      await requireHost('tracefs');
      out(await (await import('./tracefs.js')).tracefs());
    });
}

function addBpffs(main: Command): void {
  main
    .command('bpffs')
    .description('in a user namespace: mount a bpffs at a directory, for containers that create by BPF token')
    .argument('<directory>', 'where to mount it, in the mount namespace of the caller')
    .addOption(delegateOption().makeOptionMandatory())
    .action(async (directory: string, { delegate }: { delegate: string }) => {
      await requireOutside('bpffs');
      const { mountDelegationAt } = await import('../launch/bpffs.js');
      const { connect } = await import('../launch/connection.js');
      const { agent } = await connect();
      await mountDelegationAt(agent, delegate, directory);
      agent.close();
    });
}

function addKind(main: Command, kind: Kind): void {
  main
    .command(kind)
    .description(`show ${kind} objects as the host sees them`)
    .command('list')
    .description(`list every ${kind}: owner, creator, users, pins`)
    .option('--ns <namespace>', 'list only what this namespace (name or id) and those below it own')
    .option('-j, --json', 'print JSON', false)
    .action(async ({ ns, json }: { ns?: string; json: boolean }) => {
      await requireOutside(`${kind} list`);
      out(await (await import('./list.js')).listObjects(kind, ns, json));
    });
}
