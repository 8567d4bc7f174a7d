/** What a hostile guest builds upon an object of somebody else, whose descriptor it was handed. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { tracepointId, withTracefs } from '../../src/sys/tracepoint.js';
import { keepsOneAgent } from '../support/agent.js';
import { lacking } from '../support/features.js';
import {
  asContainerUser,
  bpfnsPath,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  pinDirectory,
  run,
  skipReason,
} from '../support/host.js';
import { nobodyWithBpfAlone } from '../support/tracing.js';

const congestion = guestPath('congestion.bpf.o');

/** Where a pin of root's goes that anybody may open. */
function place(name: string): string {
  const directory = `${pinDirectory()}/${name}`;
  mkdirSync(directory, { recursive: true });
  return `${directory}/pin`;
}

function foreignMap(name: string): string {
  const path = place(name);
  run(['bpftool', 'map', 'create', path, ...'type array key 4 value 4 entries 1 name foreign'.split(' ')]);
  return path;
}

function foreignProgram(name: string): string {
  const path = place(name);
  run(['bpftool', 'prog', 'load', guestPath('xdp.bpf.o'), path, 'type', 'xdp']);
  return path;
}

/**
 * What a command prints in a namespace of its own, with the fd of a pinned object that was opened outside as
 * $FD, and $ID, what the host calls the object.
 */
function withForeign(kind: 'map' | 'prog', path: string, command: string, mode: 'host' | 'own' = 'host'): string {
  const { id } = JSON.parse(run(['bpftool', kind, 'show', 'pinned', path, '--json']).stdout);
  const user = asContainerUser.map((each) => (mode === 'own' ? each.replace(',+perfmon', '') : each));
  const script = `exec ${bpfnsPath} run --tracing=${mode} -- ${user.join(' ')} ${command}`;
  const { stdout, stderr } = run([guestPath('with-pin'), path, 'FD', 'sh', '-ec', script], { env: { ID: String(id) } });
  assert.equal(stderr, '');
  return stdout;
}

describe('with the descriptor of a foreign object', { skip: skipReason }, () => {
  leavesNothingBehind();

  describe('on one agent', () => {
    keepsOneAgent();
    const foreign = guestPath('foreign');
    const extend = `${guestPath('extend')} ${guestPath('extend.bpf.o')} ${guestPath('xdp.bpf.o')} $FD $ID`;
    const cannotTrace = lacking('function hooks (fentry, fexit)');

    test('a map within a map of its own opens by no id, neither the one found there nor the host id', () => {
      assert.equal(
        withForeign('map', foreignMap('inner'), `${foreign} inner $FD $ID`),
        'created: ok\nput in: ok\nlooked up: ok\nopens: ENOENT, ENOENT\nids: outer 1, foreign 0, last 1\n',
      );
    });

    test('a traced program opens by no id, and is called 0', { skip: cannotTrace }, () => {
      assert.equal(
        withForeign('prog', foreignProgram('target'), `${foreign} target $FD $ID`),
        `loaded: ok\nattached: ok
ids: foreign 0, its BTF 0, its BTF as target 0, target of the link 0\nopens: ENOENT\n`,
      );
    });

    test('a program that it extends opens by no id, and is called 0', { skip: cannotTrace }, () => {
      assert.equal(
        withForeign('prog', foreignProgram('extended'), extend),
        `by number: EINVAL\nby fd: ok
ids: foreign 0, its BTF 0, as target 0, of the link 0\nreplaced: yes\nopens: ENOENT\n`,
      );
    });

    test('with tracing=own a program is neither traced nor extended', () => {
      assert.equal(
        withForeign('prog', foreignProgram('untraced'), `${foreign} target $FD $ID`, 'own'),
        'loaded: EINVAL\n',
      );
      assert.equal(withForeign('prog', foreignProgram('whole'), extend, 'own'), 'by number: EINVAL\nby fd: EINVAL\n');
    });

    test('copies that io_uring installs while maps are created do not make a map its own', (t) => {
      const told = withForeign('map', foreignMap('install'), `${foreign} install $FD $ID`);
      if (told === 'unsupported\n') t.skip('io_uring is off, or older than 6.8: it installs no fds');
      else assert.equal(told, 'installed some, ids: foreign 0, 0\n');
    });

    test('operations of the kernel (struct_ops) that it registers are called 0, and so are their programs', {
      skip: lacking('links of struct_ops'),
    }, () => {
      const path = place('operations');
      run([guestPath('struct-ops'), 'pin', congestion, path]);
      const told = withForeign('map', path, `${guestPath('struct-ops')} foreign $FD`);
      assert.equal(told, 'map 0, link 1 of map 0\nopened 0 programs\n');
    });
  });
});

describe('operations of the kernel (struct_ops) of its own', {
  skip: skipReason || lacking('links of struct_ops'),
}, () => {
  leavesNothingBehind();

  test('have ids of the namespace: the map, the link, and the map that the link names', () => {
    const { stdout, stderr } = inNamespace(`exec ${guestPath('struct-ops')} own ${congestion}`);
    assert.equal(stderr, '');
    // The value has the host ids of the programs, which are second names of them.
    assert.equal(stdout, 'map 1, link 1 of map 1\nopened 3 programs\n');
  });
});

describe('with tracing=own, and descriptors from outside', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('what it can do is done to its own events, and for its own tasks', () => {
    const TRACEPOINT = String(withTracefs((root) => tracepointId(root, 'syscalls', 'sys_enter_getppid')));
    const take = [bpfnsPath, 'run', '--tracing=own', '--', ...nobodyWithBpfAlone, guestPath('outside'), 'take'];
    const { stdout, stderr } = run([guestPath('outside'), 'give', ...take], { env: { TRACEPOINT } });
    assert.equal(stderr, '');
    const found = Object.fromEntries(
      [...stdout.matchAll(/^(\S+) (\d+) ?(.*)$/gm)].map(([, name = '', errno, value]) => [name, `${errno} ${value}`]),
    );
    assert.deepEqual(found, {
      // Samples of somebody else's event do not come into a buffer of its own.
      'foreign-into-own-buffer': '22 ',
      'own-into-foreign-buffer': '0 ',
      // A filter holds for the one event.
      filter: '0 ',
      filtered: '0 0 of 7',
      // A map that a checked program may not use is kept by it, and used by none of its instructions.
      bind: '0 ',
      bound: '0 1 maps more, 0 instructions more',
      // A link of a checked program takes no other one.
      'link-update': '22 ',
      // On an event of all tasks a checked program sees the own ones.
      'own-on-foreign-event': '0 ',
      'own-runs': '0 7',
      'into-array': '0 ',
    });
    // A foreign program runs as its maker meant it, after a checked one: for the tasks of the namespace. The
    // samples are a header alone.
    assert.match(stdout, /^foreign runs 7 longest [08]$/m);
  });
});
