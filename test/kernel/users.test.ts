/** Users without any right on the host, for whom root has opened a socket. All that comes from it is hostile. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { lacking } from '../support/features.js';
import {
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  listed,
  namespaceNames,
  type Outcome,
  pinDirectory,
  removePins,
  run,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { asUser, bpfnsOf, inOwn, runtimeOf, socketOf, userTable } from '../support/users.js';

const guest = guestPath('token');
const ALLOWED = 'cmds=map_create:prog_load,maps=array,progs=socket_filter,attachs=cgroup_inet_ingress';
const ANN = 54321;
const BOB = 54322;
const EVE = 54323;

const configuration = `${userTable(ANN, 2, ALLOWED)}${userTable(BOB, 2, ALLOWED)}[[users]]\nuid = ${EVE}`;
const asRuntime = (uid: number, ...args: readonly string[]): Outcome => run(runtimeOf(uid, ...args));

describe('a user of the configuration', { skip: skipReason || lacking('BPF token') }, () => {
  let daemon: Daemon | undefined;
  const directory = mkdtempSync(`${tmpdir()}/bpfns-users-`);
  leavesNothingBehind(async () => {
    await daemon?.end();
    rmSync(directory, { recursive: true });
  });
  before(async () => {
    daemon = await Daemon.configured(configuration);
  });
  const logged = (line: string): Promise<void> =>
    until(() => daemon?.log.includes(line) === true, `the log has no '${line}'`);

  /** A guest of the user with one map, which lists the maps of its namespace when asked. */
  const holdMap = (uid: number, ...options: readonly string[]): ReturnType<typeof start> =>
    start([...inOwn(uid), bpfnsPath, 'run', ...options, '--delegate', ALLOWED, '--', guest, 'hold']);

  test('creates what is delegated, and lists it as id 1, without any capability on the host', () => {
    const { stdout, stderr } = bpfnsOf(ANN, 'run', '--delegate', ALLOWED, '--', guest);
    assert.equal(stderr, '');
    assert.match(stdout, /^map without token errno 1\narray by token errno 0 id 1\nhash by token errno 1\n/m);
    assert.match(stdout, /^maps: 1 errno 2\nprograms: 1 errno 2$/m);
  });

  test('cannot have more delegated than root allows', () => {
    for (const [uid, what] of [
      [ANN, 'any'],
      [ANN, 'cmds=btf_load'],
      [EVE, 'cmds=map_create'],
    ] as const) {
      const { status, stderr } = bpfnsOf(uid, 'run', '--delegate', what, '--', 'true');
      assert.equal(status, 125);
      assert.match(stderr, new RegExp(`^bpfns: uid ${uid} may delegate '.*': delegate: EPERM$`, 'm'));
    }
  });

  test('gets the errors of the kernel where root allows nothing', () => {
    const { stdout } = bpfnsOf(EVE, 'run', '--', guest);
    assert.equal(stdout, run([...inOwn(EVE), guest]).stdout);
    assert.match(stdout, /^maps: errno 1$/m);
  });

  test('sees nothing of another user: both have map 1, and it is their own', async () => {
    const ann = await holdMap(ANN);
    const bob = await holdMap(BOB);
    assert.deepEqual(await ann.ask('list'), ['maps: 1 errno 2']);
    assert.deepEqual(await bob.ask('list'), ['maps: 1 errno 2']);
    const hosts = [ANN, BOB].map((uid) => {
      const { objects } = JSON.parse(bpfns(['map', 'list', '--ns', `user-${uid}`, '--json']).stdout);
      return objects.map(({ hostId }: { hostId: number }) => hostId);
    });
    assert.deepEqual(await bob.ask(`open ${hosts[0]?.[0]}`), ['open errno 2']);
    assert.deepEqual(await ann.ask(`open ${hosts[0]?.[0]}`), ['open errno 0']);
    await ann.end();
    await bob.end();
  });

  test('has as many namespaces as root allows, and takes none from others', async () => {
    const guests = [await holdMap(ANN), await holdMap(ANN)];
    assert.match(bpfnsOf(ANN, 'run', '--', 'true').stderr, /a limit on their number is reached/);
    assert.equal(bpfnsOf(BOB, 'run', '--', 'true').status, 0);
    for (const each of guests) await each.end();
    await until(() => !namespaceNames().includes(`user-${ANN}`), 'the namespace of the user has not ended');
    assert.equal(bpfnsOf(ANN, 'run', '--', 'true').status, 0);
  });

  for (const [what, again, said] of [
    ['bpfns run', [bpfnsPath, 'run', '--name', 'box', '--', 'echo', 'in'], 'in'],
    ['a container', [guestPath('runtime'), socketOf(ANN, 'seccomp'), 'self', 'box'], 'next map errno 2'],
  ] as const) {
    test(`gets their namespace again by ${what}, also if it is just found to have ended`, async () => {
      const first = await holdMap(ANN, '--name', 'box');
      const [map] = listed('map', `user-${ANN}/box`);
      const pin = `${pinDirectory()}/held`;
      run(['bpftool', 'map', 'pin', 'id', String(map?.hostId), pin]);
      // The last that keeps the old namespace goes right before the new one is asked for.
      const script = `rm ${pin}; echo ready; read -r _; eval "exec $FD<&-"; ${[...inOwn(ANN), ...again].join(' ')}; echo done`;
      const second = await start([guestPath('with-pin'), pin, 'FD', 'sh', '-c', script]);
      await first.end();
      assert.ok(namespaceNames().includes('box'));
      assert.deepEqual(await second.ask(''), [said]);
      await second.end();
      removePins();
    });
  }

  test('cannot use the socket of another, or of root', () => {
    for (const path of [socketOf(ANN, 'agent'), socketOf(ANN, 'seccomp'), `${runDir}/agent.sock`]) {
      assert.equal(run([...inOwn(BOB), 'test', '-w', path]).status, 1, path);
    }
    assert.match(run([...inOwn(65534), bpfnsPath, 'run', '--', 'true']).stderr, /cannot reach the agent .* EACCES/);
  });

  test('cannot enter a namespace outside their own user namespace, where a setuid program would be root', () => {
    const request = { version: 1, op: 'run', parent: 'init', name: '', pins: 'own', listener: 0 };
    const script = `require('net').connect('${socketOf(ANN, 'agent')}').on('data', (data) => {
      process.stdout.write(data); process.exit() }).write('${JSON.stringify(request)}\\n')`;
    const reason = new RegExp(`uid ${ANN} has to be in a user namespace of their own`);
    assert.match(run([...asUser(ANN), process.execPath, '-e', script]).stdout, reason);
    const outside = [...asUser(ANN), guestPath('runtime'), socketOf(ANN, 'seccomp'), 'self', 'box'];
    assert.equal(run(outside).stdout, 'next map errno 38\n');
  });

  test('asks for nothing that needs root', () => {
    for (const [options, reason] of [
      [['--pins', 'any'], /need root/],
      [['--tracing', 'own'], /need root|tracefs/],
    ] as const) {
      assert.match(bpfnsOf(ANN, 'run', ...options, '--', 'true').stderr, reason);
    }
    const requests = ['create', 'remove', 'status', 'list', 'handover', 'events'];
    const script = `
      const socket = require('net').connect('${socketOf(ANN, 'agent')}');
      const bodies = ${JSON.stringify(requests)}.map((op) => ({ version: 1, op, parent: 'init', name: 'x', pins: 'any',
        namespace: 'init', ownerUid: 0, maxNamespaces: 0, objects: true }));
      let text = '';
      socket.on('data', (data) => { text += data; if (text.split('\\n').length > bodies.length) {
        console.log(text.trimEnd().split('\\n').map((line) => JSON.parse(line).error.code).join()); process.exit(); } });
      socket.write(bodies.map((body) => JSON.stringify(body) + '\\n').join(''));`;
    assert.equal(
      run([...asUser(ANN), process.execPath, '-e', script]).stdout,
      `${requests.map(() => 'EACCES').join()}\n`,
    );
  });

  test('has containers by a rootless runtime, below their own namespace', async () => {
    assert.equal(asRuntime(ANN, 'self', 'box').stdout, 'next map errno 2\n');
    await logged(`container=${ANN}@box`);
    assert.match(daemon?.log ?? '', new RegExp(`namespace=user-${ANN}/box`));
  });

  test('cannot send a listener twice: the filter stays where it is', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1000)); // the log tells of one refusal of a user a second
    assert.equal(asRuntime(ANN, 'self', 'one', 'two').stdout, 'next map errno 2\n');
    await logged(`uid ${ANN}: this listener has been sent before`);
    assert.doesNotMatch(daemon?.log ?? '', /namespace=user-\d+\/two/);
  });

  test('writes no line of their own into the log', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1000)); // as above
    asRuntime(ANN, 'self', 'x\\u000aforged');
    await logged("refused: uid 54321: a container cannot be called 'x\\u{a}forged'");
  });

  test('cannot keep others waiting with a file that is never closed', async () => {
    const mount = `${directory}/mount`;
    mkdirSync(mount);
    chmodSync(directory, 0o755);
    const server = await start([guestPath('fuse-file'), mount, guest, 'hold']);
    const script = `
      const listener = require('fs').openSync('${mount}/file');
      const socket = require('net').connect('${socketOf(ANN, 'agent')}');
      const requests = [{ op: 'run', parent: 'init', name: '', pins: 'own', listener },
        { op: 'delegate', context: listener, what: 'maps=array' }];
      socket.write(requests.map((each) => JSON.stringify({ version: 1, ...each }) + '\\n').join(''));
      let answers = '';
      socket.on('data', (data) => {
        answers += data;
        if (answers.split('\\n').length > 2) console.log(answers + 'ready');
      });
      process.stdin.on('end', () => process.exit()).resume();`;
    const user = await start([...inOwn(ANN), process.execPath, '-e', script]);
    assert.match(user.output(), /is not a seccomp listener/);
    assert.match(user.output(), /is not a context of bpffs/);
    assert.equal(bpfns(['run', '--', 'true'], { timeoutSeconds: 20 }).status, 0);
    await server.end();
    await user.end();
  });

  test('can send no file to a socket of requests', { skip: lacking('sockets that take no files') }, () => {
    const sent = run([...inOwn(ANN), guestPath('runtime'), socketOf(ANN, 'agent'), 'self', 'box']);
    assert.match(sent.stderr, /^sendmsg: Operation not permitted$/m);
  });

  test('cannot connect more than eight runtimes at a time, and the log tells of it', async () => {
    const script = `for (let i = 0; i < 9; i++)
      require('net').connect('${socketOf(EVE, 'seccomp')}').on('close', () => { console.log('closed'); process.exit(); });`;
    assert.equal(run([...asUser(EVE), process.execPath, '-e', script]).stdout, 'closed\n');
    await logged(`uid ${EVE}: 8 runtimes are connected already`);
  });

  test('cannot have more than sixteen clients at a time, and others are served', async () => {
    const script = `for (let i = 0; i < 17; i++) require('net').connect('${socketOf(EVE, 'agent')}')
      .on('data', (text) => console.log(String(text) + 'ready'));
      process.stdin.on('end', () => process.exit()).resume();`;
    const clients = await start([...asUser(EVE), process.execPath, '-e', script]);
    assert.match(clients.output(), /^{"error":{"code":"EAGAIN","message":"16 clients are connected already"}}$/m);
    assert.equal(bpfnsOf(BOB, 'run', '--', 'true').status, 0);
    assert.equal(bpfns(['run', '--', 'true']).status, 0);
    await clients.end();
    await until(() => bpfnsOf(EVE, 'run', '--', 'true').status === 0, 'the user is not served again');
  });

  test('cannot have the agent read without end', async () => {
    const script = `require('net').connect('${socketOf(BOB, 'seccomp')}').on('error', () => undefined)
      .on('close', () => console.log('closed')).write('{"a":"' + 'x'.repeat(1 << 18));`;
    assert.equal(run([...asUser(BOB), process.execPath, '-e', script]).stdout, 'closed\n');
    await logged(`uid ${BOB}: the message of a user is too long, or in too many parts`);
  });

  test("cannot name somebody else's process as a container's", async () => {
    await new Promise((resolve) => setTimeout(resolve, 1000)); // as above
    assert.equal(asRuntime(BOB, '1', 'box').stdout, 'next map errno 38\n');
    await logged(`uid ${BOB}: uid ${BOB} has to be in a user namespace of their own`);
  });
});
