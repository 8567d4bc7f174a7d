/** `bpfns top` on a real terminal (tmux), and as JSON. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import {
  agentsOf,
  asContainerUser,
  bpfns,
  bpfnsPath,
  type Guest,
  guestPath,
  leavesNothingBehind,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { Tmux } from '../support/tmux.js';

const terminals: Tmux[] = [];

function open(args = ''): Tmux {
  const terminal = new Tmux(
    `env BPFNS_RUN_DIR=${runDir} ${bpfnsPath} top -i 0.2 ${args}; echo "status $?"; stty -a; cat`,
  );
  terminals.push(terminal);
  return terminal;
}

function shows(terminal: Tmux, wanted: RegExp): Promise<void> {
  return until(() => wanted.test(terminal.screen()), `the screen does not show ${wanted}`, 20).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}:\n${terminal.screen()}`);
    },
  );
}

/** That it has ended with this status and given the terminal back as it was. */
async function restores(terminal: Tmux, status: number): Promise<void> {
  await shows(terminal, new RegExp(`^status ${status}$`, 'm'));
  await shows(terminal, /(?<!-)icanon[\s\S]* (?<!-)echo /);
  assert.doesNotMatch(terminal.screen(), /EVENTS\/S/, 'the other screen is left');
  assert.ok(terminal.hasCursor());
}

describe('bpfns top', { skip: skipReason }, () => {
  leavesNothingBehind(() => {
    for (const terminal of terminals) terminal.close();
  });
  describe('while a guest runs its program', topTests);
  describe('whose agent is killed, with its supervisor,', lossTests);
});

function topTests(): void {
  let guest: Guest;
  let isRunning = true;
  let work: Promise<void>;

  before(async () => {
    guest = await start([bpfnsPath, 'run', '--name', 'hot', '--', ...asContainerUser, guestPath('busy'), '3']);
    const keepBusy = async (): Promise<void> => {
      while (isRunning) {
        await guest.ask('run 20000', 'done');
        await guest.ask('list 5', 'done');
      }
    };
    work = keepBusy();
  });
  after(async () => {
    isRunning = false;
    await work;
    await guest.end();
  });

  test('shows namespaces with CPU, events, memory, objects and trapped calls, at 80 columns', async () => {
    // Long enough for the guest to run its program and to call, also on a busy machine.
    const terminal = open('-i 1');
    // CPU, events, average and calls are above 0; 5.8K of memory, say; 3 maps and a program; one process.
    await shows(terminal, /^[> ] +(?!0\.00)\d+\.\d\d +(?!0 )\S+ +(?!0 )\S+ +[\d.]+K +4 +1 +(?!0 )\S+ +hot$/m);
    const lines = terminal.screen().split('\n');
    assert.ok(lines.every((line) => line.length <= 80));
  });

  test('shows programs, filters them, and tells everything about one', async () => {
    const terminal = open();
    await shows(terminal, / hot$/m);
    terminal.type('t');
    await shows(terminal, /HOSTID .* NAMESPACE +NAME/);
    // Others on the machine may have a program of that name.
    terminal.type('/', 'h', 'o', 't', 'Enter');
    await shows(terminal, /\[only 'hot'\][\s\S]*socket_fil~ hot +busy/);
    terminal.type('Enter');
    await shows(terminal, /^prog \d+ 'busy', socket_filter\n +belongs to +namespace .*hot, where it is prog 1$/m);
    await shows(terminal, /kept alive by a file descriptor of busy/);
  });

  test('explains itself, up to the last column', async () => {
    const terminal = open();
    await shows(terminal, / hot$/m);
    terminal.type('h');
    await shows(terminal, /A folded row$/m);
  });

  const ends: ReadonlyArray<readonly [what: string, end: (terminal: Tmux) => void]> = [
    ['q', (terminal) => terminal.type('q')],
    ['Ctrl-C', (terminal) => terminal.type('C-c')],
    ['SIGTERM', (terminal) => terminal.signal('TERM')],
    ['SIGHUP', (terminal) => terminal.signal('HUP')],
  ];
  for (const [what, end] of ends) {
    test(`gives the terminal back as it was on ${what}`, async () => {
      const terminal = open('--count 1000');
      await shows(terminal, / hot$/m);
      end(terminal);
      await restores(terminal, 0);
    });
  }

  test('prints one JSON object per sample, for scripts', async () => {
    const command = spawn(bpfnsPath, ['top', '--json', '--count', '2', '--interval', '2']);
    let stdout = '';
    command.stdout.setEncoding('utf8').on('data', (part: string) => {
      stdout += part;
    });
    await once(command, 'close');
    assert.equal(command.exitCode, 0);
    const samples = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(samples.length, 2);
    const hot = samples[1].namespaces.find(({ name }: { name: string }) => name === 'hot');
    assert.ok(hot.cpu > 0 && hot.runTime > 0 && hot.runsPerSecond > 0 && hot.callsPerSecond > 0 && hot.averageNs > 0);
    const [program] = samples[1].programs.filter(({ namespace }: { namespace: number }) => namespace === hot.id);
    assert.deepEqual([program.name, program.type, program.id, program.runTime > 0], ['busy', 'socket_filter', 1, true]);
  });

  test('without a terminal says what to do instead', () => {
    const { stderr, status } = bpfns(['top']);
    assert.deepEqual([stderr, status], ['bpfns: top needs a terminal: use --json elsewhere\n', 1]);
  });
}

function lossTests(): void {
  // Another agent comes and leaves, and with it what they have left.
  after(() => void bpfns(['run', '--', 'true']));

  /** A terminal whose top has lost its agent. */
  const lost = async (): Promise<Tmux> => {
    const terminal = open();
    await shows(terminal, / init$/m);
    for (const pid of agentsOf(runDir ?? '')) {
      const [, , , supervisor] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ');
      // First the one that would start another agent.
      for (const each of [supervisor, pid]) process.kill(Number(each), 'SIGKILL');
    }
    await shows(terminal, /^the agent does not answer: waiting for another/m);
    return terminal;
  };

  test('says so, and gives the terminal back on q at once', async () => {
    const terminal = await lost();
    terminal.type('q');
    await restores(terminal, 0);
    assert.doesNotMatch(terminal.screen(), /the agent has ended/);
  });

  test('gives the terminal back when no other agent comes', async () => {
    const terminal = await lost();
    await restores(terminal, 1);
    assert.match(terminal.screen(), /^bpfns: the agent has ended$/m);
  });
}
