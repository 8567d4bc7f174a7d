/** `bpfns top` on a real terminal (tmux), and as JSON. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import {
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

describe('bpfns top', { skip: skipReason }, () => {
  leavesNothingBehind();
  describe('while a guest runs its program', topTests);
});

function topTests(): void {
  let guest: Guest;
  let isRunning = true;
  let work: Promise<void>;
  const terminals: Tmux[] = [];
  const open = (args = ''): Tmux => {
    const terminal = new Tmux(
      `env BPFNS_RUN_DIR=${runDir} ${bpfnsPath} top -i 0.2 ${args}; echo "status $?"; stty -a; cat`,
    );
    terminals.push(terminal);
    return terminal;
  };
  const shows = (terminal: Tmux, wanted: RegExp): Promise<void> =>
    until(() => wanted.test(terminal.screen()), `the screen does not show ${wanted}`, 20).catch((error: unknown) => {
      throw new Error(`${String(error)}:\n${terminal.screen()}`);
    });

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
    for (const terminal of terminals) terminal.close();
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
    terminal.type('/', 'b', 'u', 's', 'y', 'Enter');
    await shows(terminal, /\[only 'busy'\][\s\S]*socket_fil~ hot +busy/);
    terminal.type('Enter');
    await shows(terminal, /^prog \d+ 'busy', socket_filter\n +belongs to +namespace .*hot, where it is prog 1$/m);
    await shows(terminal, /kept alive by a file descriptor of busy/);
  });

  const ends: ReadonlyArray<readonly [what: string, end: (terminal: Tmux) => void, status: string]> = [
    ['q', (terminal) => terminal.type('q'), 'status 0'],
    ['Ctrl-C', (terminal) => terminal.type('C-c'), 'status 0'],
    ['SIGTERM', (terminal) => terminal.terminate(), 'status 0'],
  ];
  for (const [what, end, status] of ends) {
    test(`gives the terminal back as it was on ${what}`, async () => {
      const terminal = open('--count 1000');
      await shows(terminal, / hot$/m);
      end(terminal);
      await shows(terminal, new RegExp(`^${status}$`, 'm'));
      await shows(terminal, /(?<!-)icanon[\s\S]* (?<!-)echo /);
      assert.doesNotMatch(terminal.screen(), /EVENTS\/S/, 'the other screen is left');
      assert.ok(terminal.hasCursor());
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
