/** The filter, run by an interpreter of classic BPF: what it does with every sort of call. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { architecture, architectures } from '../sys/architecture.js';
import { E } from '../sys/errno.js';
import { bpf_cmd, seccomp_notif } from '../sys/kernel.gen.js';
import { Notification, readPointer } from '../sys/seccomp.js';
import { buildFilter } from './filter.js';
import { OWN_NAMESPACE } from './own-command.js';
import { trappedCommands } from './trapped.js';

/** What the kernel shows a filter of a system call (struct seccomp_data). */
interface SyscallData {
  readonly nr: number;
  readonly arch: number;
  readonly args?: readonly bigint[];
}

const X86_64 = 0xc000003e;
const I386 = 0x40000003;
const AARCH64 = 0xc00000b7;
const ARM = 0x40000028;
const X32 = 0x40000000;
const BPF = 321;
const CLONE3 = 435;
const UNSHARE = 272;
const BPF_I386 = 357;

const actions: Readonly<Record<number, string>> = {
  2147418112: 'allow',
  2143289344: 'notify',
  [0x00050000 | E.ENOSYS]: 'ENOSYS',
};

/** Runs a classic BPF program as seccomp would; it must end, and stay within its bounds. */
function decide(code: Buffer, { nr, arch, args = [] }: SyscallData): string {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(nr, 0);
  data.writeUInt32LE(arch, 4);
  args.forEach((argument, i) => {
    data.writeBigUInt64LE(argument, 16 + i * 8);
  });
  let accumulator = 0;
  for (let at = 0; at < code.length / 8; at++) {
    const [opcode, jumpTrue, jumpFalse, k] = [
      code.readUInt16LE(at * 8),
      code.readUInt8(at * 8 + 2),
      code.readUInt8(at * 8 + 3),
      code.readUInt32LE(at * 8 + 4),
    ];
    switch (opcode) {
      case 0x20: // ld [k]
        accumulator = data.readUInt32LE(k);
        break;
      case 0x54: // and #k
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x15: // jeq #k
        at += accumulator === k ? jumpTrue : jumpFalse;
        break;
      case 0x45: // jset #k
        at += (accumulator & k) !== 0 ? jumpTrue : jumpFalse;
        break;
      case 0x06: // ret #k
        return actions[k] ?? `action ${k.toString(16)}`;
      default:
        assert.fail(`unknown opcode ${opcode.toString(16)}`);
    }
  }
  assert.fail('ran off the end');
}

/** The kernel's tables, by process.arch. */
const { x64: amd64, arm64 } = architectures;
const filter = buildFilter(trappedCommands, { clone3: true, unshare: true }, amd64);
const plain = buildFilter(trappedCommands, { clone3: false, unshare: false }, amd64);
const trapped = new Set<number>(trappedCommands);
const upperBits = fc.bigInt({ min: 0n, max: 0xffffffffffffn }).map((bits) => bits << 16n);
const rest = fc.array(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), { minLength: 5, maxLength: 5 });

describe('the filter', () => {
  for (const [name, command] of Object.entries({ ...bpf_cmd, OWN_NAMESPACE: OWN_NAMESPACE.command })) {
    const expected = trapped.has(command) ? 'notify' : 'allow';
    test(`${expected === 'notify' ? 'hands over' : 'lets through'} ${name}, whatever the upper bits and the other arguments`, () => {
      fc.assert(
        fc.property(upperBits, rest, (bits, others) => {
          assert.equal(decide(filter, { nr: BPF, arch: X86_64, args: [bits | BigInt(command), ...others] }), expected);
        }),
        { numRuns: 30 },
      );
    });
  }

  test('lets commands through that no kernel has yet', () => {
    fc.assert(
      fc.property(fc.integer({ min: Object.keys(bpf_cmd).length, max: 0xffff }), (command) => {
        if (trapped.has(command)) return;
        assert.equal(decide(filter, { nr: BPF, arch: X86_64, args: [BigInt(command)] }), 'allow');
      }),
    );
  });

  const foreign: ReadonlyArray<readonly [string, SyscallData]> = [
    ['x32', { nr: X32 + BPF, arch: X86_64 }],
    ['i386', { nr: BPF_I386, arch: I386 }],
  ];
  for (const [abi, call] of foreign) {
    test(`answers bpf of the ${abi} ABI with ENOSYS, whatever the command`, () => {
      for (const command of Object.values(bpf_cmd)) {
        assert.equal(decide(filter, { ...call, args: [BigInt(command)] }), 'ENOSYS');
      }
    });
  }

  test('lets every other system call of every ABI through', () => {
    const number = fc.oneof(
      fc.nat(1000),
      fc.nat(1000).map((nr) => X32 + nr),
      fc.nat(0xffffffff),
    );
    fc.assert(
      fc.property(number, fc.constantFrom(X86_64, I386), fc.constantFrom(...trappedCommands), (nr, arch, command) => {
        const isNesting = arch === X86_64 && (nr === CLONE3 || nr === UNSHARE);
        const isBpf = arch === I386 ? nr === BPF_I386 : nr === BPF || nr === X32 + BPF;
        if (isBpf) return;
        assert.equal(decide(plain, { nr, arch, args: [BigInt(command)] }), 'allow');
        if (!isNesting) assert.equal(decide(filter, { nr, arch, args: [BigInt(command)] }), 'allow');
      }),
      { numRuns: 2000 },
    );
  });

  test('with nesting hands over every clone3, whose flags it cannot see', () => {
    assert.equal(decide(filter, { nr: CLONE3, arch: X86_64 }), 'notify');
    assert.equal(decide(plain, { nr: CLONE3, arch: X86_64 }), 'allow');
  });

  test('with nesting hands over unshare with bit 34, and no other', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (flags) => {
        const hasBit = ((flags >> 34n) & 1n) === 1n;
        assert.equal(decide(filter, { nr: UNSHARE, arch: X86_64, args: [flags] }), hasBit ? 'notify' : 'allow');
        assert.equal(decide(plain, { nr: UNSHARE, arch: X86_64, args: [flags] }), 'allow');
      }),
    );
  });

  test('can leave clone3 alone and hand over unshare', () => {
    const code = buildFilter(trappedCommands, { clone3: false, unshare: true }, amd64);
    assert.equal(decide(code, { nr: CLONE3, arch: X86_64 }), 'allow');
    assert.equal(decide(code, { nr: UNSHARE, arch: X86_64, args: [1n << 34n] }), 'notify');
  });

  test('does not touch an architecture that it does not know', () => {
    for (const nr of [BPF, BPF_I386, 280]) assert.equal(decide(filter, { nr, arch: AARCH64 }), 'allow');
  });

  test('on arm64 knows its numbers and those of 32-bit arm', () => {
    const code = buildFilter(trappedCommands, { clone3: true, unshare: true }, arm64);
    const args = [BigInt(bpf_cmd.BPF_MAP_GET_NEXT_ID)];
    assert.equal(decide(code, { nr: 280, arch: AARCH64, args }), 'notify');
    assert.equal(decide(code, { nr: 280, arch: AARCH64, args: [BigInt(bpf_cmd.BPF_MAP_CREATE)] }), 'allow');
    assert.equal(decide(code, { nr: BPF, arch: AARCH64, args }), 'allow');
    assert.equal(decide(code, { nr: X32 + 280, arch: AARCH64, args }), 'allow', 'there is no second ABI');
    assert.equal(decide(code, { nr: CLONE3, arch: AARCH64 }), 'notify');
    assert.equal(decide(code, { nr: 97, arch: AARCH64, args: [1n << 34n] }), 'notify');
    assert.equal(decide(code, { nr: 97, arch: AARCH64, args: [1n << 33n] }), 'allow');
    assert.equal(decide(code, { nr: 386, arch: ARM, args }), 'ENOSYS');
    assert.equal(decide(code, { nr: BPF, arch: X86_64, args }), 'allow');
  });

  test('works for any list of commands', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(0xffff), { maxLength: 200, size: 'max' }),
        fc.nat(0xffff),
        (commands, other) => {
          const code = buildFilter(commands, { clone3: false, unshare: false }, amd64);
          for (const command of [...commands, other]) {
            const expected = commands.includes(command) ? 'notify' : 'allow';
            assert.equal(decide(code, { nr: BPF, arch: X86_64, args: [BigInt(command)] }), expected);
          }
          assert.equal(decide(code, { nr: BPF_I386, arch: I386 }), 'ENOSYS');
          assert.equal(decide(code, { nr: X32 + BPF, arch: X86_64 }), 'ENOSYS');
        },
      ),
    );
  });
});

test('an address of user space reads exactly, any other reads as -1', () => {
  const buffer = Buffer.alloc(8);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (address) => {
      buffer.writeBigUInt64LE(address);
      assert.equal(readPointer(buffer, 0), address < 1n << 53n ? Number(address) : -1);
    }),
  );
});

test('a notification of a call in another ABI has no number that could be taken for a native one', () => {
  const notification = new Notification(Buffer.alloc(seccomp_notif.sizeof));
  const { audit, narrow, syscalls } = architecture;
  notification.buffer.writeInt32LE(syscalls.unshare, seccomp_notif.data_nr);
  notification.buffer.writeUInt32LE(audit, seccomp_notif.data_arch);
  assert.equal(notification.number, syscalls.unshare);
  notification.buffer.writeUInt32LE(narrow.audit, seccomp_notif.data_arch);
  assert.equal(notification.number, -1);
});
