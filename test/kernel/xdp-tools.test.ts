/** Unmodified xdp-tools, tc and bpftool on a device: they learn ids from netlink, which are the host's. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  type Outcome,
  run,
  skipReason,
} from '../support/host.js';

const OBJECT = guestPath('xdp.bpf.o');

/** xdp-tools want to be root. Root without CAP_SYS_ADMIN will do. Sockets of AF_XDP need CAP_NET_RAW. */
const asRoot = asContainerUser
  .filter((argument) => !/uid|gid|groups/.test(argument))
  .map((argument) => argument.replace('+net_admin', '+net_admin,+net_raw'));

/** Makes a pair of devices, va and vb, and a bpffs. They are gone when the command ends that it becomes. */
const setUp = `
  mount -t bpf bpf /sys/fs/bpf
  ip link add va numrxqueues 2 numtxqueues 2 type veth peer name vb numrxqueues 2 numtxqueues 2
  ip link set va up
  exec "$@"`;
const withPair = ['unshare', '-nm', 'sh', '-ec', setUp, 'sh'];
/** The kernel drops a pin's reference a moment after the pin (RCU). */
const untilEmpty = 'until bpftool -j prog list | grep -x "\\[\\]"; do sleep 0.1; done';

/** What a shell script prints. */
function printed({ status, stdout, stderr }: Outcome): string {
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

/** Runs it with the pair of devices, in a new namespace. */
function withDevices(script: string): string {
  return printed(bpfns(['run', '--', ...withPair, ...asRoot, 'sh', '-ec', script]));
}

describe('on a network device', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('xdp-loader loads, shows and unloads a program, and does it again', () => {
    const once = 'xdp-loader status va; xdp-loader unload va --all; xdp-loader status va';
    const stdout = withDevices(`
      xdp-loader load va ${OBJECT} -s xdp
      ${once}
      xdp-loader load -m skb va ${OBJECT} -s xdp
      ${once}
      ${untilEmpty}`);
    const states = [...stdout.matchAll(/<No XDP program|\bpass_all\b/g)].map(([state]) => state);
    assert.deepEqual(states, ['pass_all', '<No XDP program', 'pass_all', '<No XDP program'], stdout);
    assert.match(stdout, /^\[\]$/m);
  });

  test('xdp-loader unloads a program by the id that its status shows', () => {
    const stdout = withDevices(`
      xdp-loader load -m skb va ${OBJECT} -s xdp
      id=$(xdp-loader status va | sed -n 's/.* pass_all .* \\([0-9][0-9]*\\)  *[0-9a-f]\\{16\\}.*/\\1/p')
      bpftool prog show id $id
      xdp-loader unload va --id $id
      xdp-loader status va`);
    assert.match(stdout, /^\d+: \w+ {2}name pass_all /m);
    assert.match(stdout, /^va +<No XDP program/m);
  });

  test('xdp-filter loads, shows its state and unloads', () => {
    const stdout = withDevices('xdp-filter load va; xdp-filter status; xdp-filter unload va; xdp-loader status va');
    assert.match(stdout, /^ {2}va \(\w+ mode\) +tcp,udp,ipv6,ipv4,ethernet,allow/m);
    assert.match(stdout, /^va +<No XDP program/m);
  });

  test("every row of 'bpftool net' has an id that 'bpftool prog show' takes, and tc shows the program's name", () => {
    const stdout = withDevices(`
      xdp-loader load va ${OBJECT} -s xdp
      tc qdisc add dev va clsact
      tc filter add dev va ingress bpf direct-action object-file ${OBJECT} section tc
      tc filter show dev va ingress
      for id in $(bpftool net | sed -n 's/.* id \\([0-9]*\\).*/\\1/p'); do
        echo "row: $(bpftool prog show id $id)"
      done`);
    assert.match(stdout, /^filter .* name classify tag /m);
    const rows = [...stdout.matchAll(/^row: \d+: (\w+) {2}name (\w+) /gm)].map(([, type, name]) => `${type} ${name}`);
    assert.match(rows.join(), /^xdp (pass_all|xdp_dispatcher),sched_cls classify$/, stdout);
  });

  test('libxdp opens two AF_XDP sockets on one device: the second uses the program of the first', () => {
    const script = `
      ${guestPath('xsk')} va
      for id in $(bpftool net | sed -n 's/^va.* id \\([0-9]*\\).*/\\1/p'); do
        bpftool prog show id $id
      done
      echo "loaded: $(bpftool prog list | grep -c 'name xsk_def_prog')"`;
    const both = /^socket 1: ok\nsocket 2: ok\n\d+: xdp {2}name (xsk_def_prog|xdp_dispatcher) /m;
    assert.match(printed(run([...withPair, 'sh', '-ec', script])), both);
    const inside = withDevices(script);
    assert.match(inside, both);
    assert.match(inside, /^loaded: 1$/m);
  });

  test("another namespace's program is neither opened nor unloaded by the id that the device shows", () => {
    const stdout = withDevices(`
      xdp-loader load va ${OBJECT} -s xdp
      id=$(bpftool net | sed -n 's/^va.* id \\([0-9]*\\).*/\\1/p')
      number=$(bpftool -j prog show id $id | sed 's/^{"id":\\([0-9]*\\).*/\\1/')
      ${bpfnsPath} run -- sh -c '
        for each; do
          bpftool prog show id $each || echo not opened
          xdp-loader unload va --id $each || echo not unloaded
        done
        xdp-loader unload va --all || echo not unloaded' sh $id $number
      xdp-loader status va`);
    const answers = [...stdout.matchAll(/^not \w+$/gm)].map(([answer]) => answer);
    const each = ['not opened', 'not unloaded'];
    assert.deepEqual(answers, [...each, ...each, 'not unloaded'], stdout);
    assert.match(stdout, /^va +(pass_all|xdp_dispatcher) /m);
  });
});
