/**
 * How the kernel applies a written profile: who answers which command of bpf(2), in which ABI. A
 * stand-in for the agent answers with an error that no kernel gives.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { trappedCommands } from '../../src/filter/trapped.js';
import { bpf_cmd } from '../../src/sys/kernel.gen.js';
import { bpfns, guestPath, skipReason, until } from '../support/host.js';
import { crun, runc } from './support/bundle.js';
import { type Engine, scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind, workDir } from './support/machine.js';

const socket = `${workDir}/agent.sock`;
// BPF_COMMON_ATTRS is a flag beside a command.
const NUMBERS = [...new Set<number>(Object.values(bpf_cmd))].filter((number) => number <= 0xffff);
const LAST = Math.max(...NUMBERS);
const trapped: readonly number[] = trappedCommands;
const NR_CLONE3 = 435;
const AUDIT_ARCH_X86_64 = '0xc000003e';
const AUDIT_ARCH_I386 = '0x40000003';

interface Answer {
  readonly abi: string;
  readonly command: number;
  readonly error: string;
}

/** Writes a profile for the stand-in. @returns its path */
function profile(name: string, args: readonly string[] = []): string {
  const path = `${workDir}/${name}.json`;
  const { status, stderr } = bpfns(['profile', '--listener', socket, '--output', path, ...args]);
  assert.equal(status, 0, stderr);
  return path;
}

/** Runs the guest that makes every command in every ABI. */
async function outcomes(engine: Engine, path: string): Promise<{ answers: Answer[]; seen: string[] }> {
  const from = said.length;
  const container = await engine.start({ label: 'profile', script: `commands ${LAST + 1}`, profile: path });
  let text = '';
  try {
    ({ text } = await scriptOutput(container));
  } finally {
    await container.remove();
  }
  const answers = [...text.matchAll(/^(\S+) (\d+) (\w+)$/gm)].map(([, abi = '', command, error = '']) => {
    return { abi, command: Number(command), error };
  });
  const seen = (): string[] => said.slice(from).split('\n');
  const count = (word: string): number => seen().filter((line) => line.split(' ')[0] === word).length;
  await until(() => count('state') > 0 && count('gone') === count('state'), 'the stand-in still has a listener');
  return { answers, seen: seen() };
}

let agent: ChildProcess;
let said = '';

function startAgent(): Promise<void> {
  said = '';
  rmSync(socket, { force: true });
  const child = spawn(guestPath('oci-listener'), [socket, String(constants.errno.EXDEV)], {
    stdio: ['ignore', 'pipe', 2],
  });
  agent = child;
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    if (agent === child) said += text; // the last words of an earlier one may come late
  });
  return until(() => said.startsWith('ready'), 'the stand-in agent is not ready');
}

describe('--wait-killable', { skip: skipReason }, () => {
  leavesNoContainersBehind();

  test('is taken by crun 1.6 and later', async () => {
    await startAgent();
    const { answers } = await outcomes(crun, profile('killable', ['--wait-killable']));
    agent.kill();
    assert.ok(answers.some(({ error }) => error === 'EXDEV'));
  });
});

for (const engine of [runc, crun]) {
  describe(`a written profile, applied by ${engine.name}`, { skip: skipReason }, () => {
    leavesNoContainersBehind();

    describe('to a guest that makes every command', () => {
      let found: Awaited<ReturnType<typeof outcomes>>;
      before(async () => {
        await startAgent();
        found = await outcomes(engine, profile('standard'));
      });
      after(() => {
        agent.kill();
      });
      const commandsOf = (abi: string, isWanted: (answer: Answer) => boolean): number[] =>
        found.answers.filter((answer) => answer.abi === abi && isWanted(answer)).map(({ command }) => command);
      const isFromAgent = ({ error }: Answer): boolean => error === 'EXDEV';

      for (const abi of ['x86-64', 'junk']) {
        const how = abi === 'junk' ? ', with bits set that the kernel drops' : '';
        test(`the agent answers the trapped commands and no other${how}`, () => {
          const wanted = trapped.filter((command) => command <= LAST).toSorted((a, b) => a - b);
          assert.deepEqual(commandsOf(abi, isFromAgent), wanted);
        });
      }

      test('the kernel runs the others: none is refused by the filter', () => {
        const native = NUMBERS.filter((command) => !trapped.includes(command));
        const refused = commandsOf('x86-64', ({ command, error }) => native.includes(command) && error === 'ENOSYS');
        assert.deepEqual(refused, []);
      });

      test('a command that the kernel of the build did not know is refused', () => {
        assert.deepEqual(
          found.answers.find(({ abi, command }) => abi === 'x86-64' && command === LAST + 1)?.error,
          'ENOSYS',
        );
      });

      for (const abi of ['i386', 'x32']) {
        test(`every command in the ${abi} ABI is the agent's to refuse`, () => {
          assert.equal(commandsOf(abi, isFromAgent).length, LAST + 2);
        });
      }

      test('calls of the i386 ABI are told by their architecture', () => {
        assert.equal(found.seen.filter((line) => line.startsWith(`call ${AUDIT_ARCH_I386} 357`)).length, LAST + 2);
      });
    });

    describe('with other options', () => {
      before(startAgent);
      after(() => {
        agent.kill();
      });

      test('--nesting hands clone3 to the agent', async () => {
        const path = profile('nesting', ['--nesting']);
        const { seen } = await outcomes(engine, path);
        assert.ok(seen.includes(`call ${AUDIT_ARCH_X86_64} ${NR_CLONE3} 0`));
      });

      test("without --nesting clone3 is the kernel's", async () => {
        const { seen } = await outcomes(engine, profile('flat'));
        assert.ok(!seen.some((line) => line.startsWith(`call ${AUDIT_ARCH_X86_64} ${NR_CLONE3}`)));
      });

      test('--metadata reaches the agent, with the id of the container', async () => {
        const { seen } = await outcomes(engine, profile('named', ['--metadata', 'name=web']));
        const [first] = seen.filter((line) => line.startsWith('state '));
        assert.match(first ?? '', /"metadata":"name=web"/);
        assert.match(first ?? '', new RegExp(`"id":"bpfns-${process.pid}-profile"`));
      });

      test('without an agent no container starts', async () => {
        const path = profile('alone', ['--listener', `${workDir}/nobody.sock`]);
        await assert.rejects(engine.start({ label: 'alone', script: 'true', profile: path }), /seccomp/);
      });

      test('an unconditional rule for bpf beside it would swallow the trap: why it is taken out', async () => {
        const path = profile('swallowed');
        const whole = JSON.parse(readFileSync(path, 'utf8'));
        whole.syscalls.push({ names: ['bpf'], action: 'SCMP_ACT_ALLOW' });
        writeFileSync(path, JSON.stringify(whole));
        const { answers } = await outcomes(engine, path);
        assert.ok(answers.length > 0);
        assert.deepEqual(
          answers.filter(({ error, abi }) => error === 'EXDEV' && (abi === 'x86-64' || abi === 'junk')),
          [],
        );
      });
    });
  });
}
