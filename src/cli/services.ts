/** The commands that run services: the daemon, its keeper, what they start, and the check for probes. */
import { type Command, Option } from 'commander';
import { requireHost } from './guards.js';
import { warn } from './standard-streams.js';

interface DaemonFlags {
  readonly config?: string;
  readonly checkConfig: boolean;
  readonly checkUpgrade: boolean;
  readonly replace: boolean;
  readonly stay: boolean;
}

export function addServices(main: Command): void {
  main
    .command('daemon')
    .description('serve namespaces and containers in the foreground until stopped')
    .option('--config <file>', 'the configuration file (default: /etc/bpfns/bpfns.toml, if it exists)')
    .option('--replace', 'replace the running agent without a failed call: an upgrade', false)
    .option('--stay', 'when another daemon takes over, do nothing until stopped, instead of exiting', false)
    .option('--check-config', 'check the configuration and exit', false)
    .option('--check-upgrade', 'try to take over what another version has in place, undo it and exit', false)
    .action(async ({ config, checkConfig, checkUpgrade, replace, stay }: DaemonFlags) => {
      const { daemonConfig } = await import('./daemon.js');
      const { daemonLog } = await import('../telemetry/log.js');
      const settings = daemonConfig(config);
      if (checkConfig) return;
      await requireHost('daemon');
      if (checkUpgrade) return (await import('./upgrade.js')).checkUpgrade();
      (await import('../recorder/state.js')).requireKnownState();
      const { mayTakeOver } = await import('./upgrade.js');
      const { daemonMain } = await import('../supervisor/handover.js');
      await daemonMain(['--daemon', JSON.stringify(settings)], {
        replace,
        whenReplaced: stay ? 'stay' : 'end',
        mayTakeOver,
        onTakeOver: (pid) =>
          daemonLog(settings.log)('info', 'taking over from an agent that bpfns run started', { pid }),
      });
    });

  main
    .command('keeper')
    .description('keep the listeners of containers while the daemon is replaced, where systemd does not run it')
    .action(async () => {
      await requireHost('keeper');
      await (await import('../supervisor/keeper.js')).keeperMain(warn);
    });

  main
    .command('self-check')
    .description('check that calls are answered: in a namespace its own, on the host those of any; for probes')
    .option('--keeper', 'check the keeper instead', false)
    .addOption(new Option('--once').hideHelp())
    .action(async ({ keeper, once }: { keeper: boolean; once?: boolean }) => {
      const { checkOnce, selfCheck } = await import('./self-check.js');
      if (once) checkOnce();
      await selfCheck(keeper ? 'keeper' : 'calls');
    });

  main
    .command('supervise', { hidden: true })
    .description('keep listeners and run agents until no namespace is left (started by `run`)')
    .option('--ready-fd <fd>', 'report there whether the start succeeded', Number)
    .option('--adopt', 'supervise the agent that started this, in place of a supervisor that died', false)
    .option('--daemon <json>', 'run agents that stay when idle, with this configuration')
    .action(async ({ readyFd, adopt, daemon }: { readyFd?: number; adopt: boolean; daemon?: string }) => {
      const { adoptAgent, supervisorMain } = await import('../supervisor/supervisor.js');
      const agentArguments = daemon === undefined ? [] : ['--daemon', daemon];
      if (adopt) adoptAgent(agentArguments);
      else await supervisorMain(readyFd, agentArguments);
    });

  main
    .command('container-bpffs', { hidden: true })
    .description('mount a bpffs in a container (started by an agent, in the user namespace of the container)')
    .action(async () => (await import('../launch/bpffs.js')).mountInContainer());

  main
    .command('agent', { hidden: true })
    .description('answer trapped calls (started by a supervisor)')
    .option('--ready-fd <fd>', 'report there whether the start succeeded', Number)
    .option('--daemon <json>', 'stay when idle, with this configuration')
    .action(async ({ readyFd, daemon }: { readyFd?: number; daemon?: string }) => {
      await (await import('../agent/main.js')).agentMain({ ready: readyFd, daemon });
    });
}
