/** What becomes of an engine's seccomp profile. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { builtInBase } from './base-profile.js';
import { makeProfile, type ProfileOptions } from './profile.js';
import { type BaseProfile, type Profile, ProfileError, parseProfile as parse } from './profile-format.js';

const parseProfile = (text: string): BaseProfile => parse(text, { EPERM: 1 });

const options: ProfileOptions = {
  listenerPath: '/run/bpfns/seccomp.sock',
  metadata: '',
  capabilities: ['CAP_BPF'],
  architecture: 'amd64',
  kernel: [6, 1],
  trapped: [11, 15],
  native: [0, 1, 5],
  perf: false,
  nesting: false,
  waitKillable: false,
};

/** The profile made from a base with these rules. */
function made(syscalls: readonly object[], more: Partial<ProfileOptions> = {}, top: object = {}): Profile {
  const base = { defaultAction: 'SCMP_ACT_ERRNO', architectures: ['SCMP_ARCH_X86_64'], syscalls, ...top };
  return makeProfile(parseProfile(JSON.stringify(base)), { ...options, ...more }).profile;
}

const allow = (names: string[], more: object = {}): object => ({ names, action: 'SCMP_ACT_ALLOW', ...more });
const namesOf = ({ syscalls }: Profile, action = 'SCMP_ACT_ALLOW'): string[] =>
  syscalls.filter((rule) => rule.action === action && !rule.names.includes('bpf')).flatMap(({ names }) => names);
const bpfRules = ({ syscalls }: Profile, action: string): Array<[mask: number, value: number] | 'all'> =>
  syscalls
    .filter((rule) => rule.action === action && rule.names.includes('bpf'))
    .map(({ args: [arg] = [] }) => (arg?.op === 'SCMP_CMP_MASKED_EQ' ? [arg.value, arg.valueTwo] : 'all'));

describe('bpf in the made profile', () => {
  for (const action of ['SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO', 'SCMP_ACT_KILL', 'SCMP_ACT_LOG']) {
    test(`is taken out of a rule with ${action}, which would swallow the trap`, () => {
      const { syscalls } = made([{ names: ['bpf', 'chroot'], action }]);
      assert.deepEqual(
        syscalls.filter(({ names }) => names.includes('chroot')),
        [{ names: ['chroot'], action }],
      );
      assert.ok(syscalls.filter(({ names }) => names.includes('bpf')).every(({ args }) => args?.length === 1));
    });
  }

  test('a rule about bpf alone goes altogether', () => {
    assert.deepEqual(made([allow(['bpf'])]), made([]));
  });

  test("Docker's old form with one name a rule is understood", () => {
    assert.deepEqual(made([{ name: 'bpf', action: 'SCMP_ACT_ALLOW' }]), made([]));
  });

  test('trapped commands are notified and the others allowed, by their lower 16 bits', () => {
    const profile = made([]);
    assert.deepEqual(bpfRules(profile, 'SCMP_ACT_NOTIFY'), [
      [0xffff, 11],
      [0xffff, 15],
    ]);
    assert.deepEqual(bpfRules(profile, 'SCMP_ACT_ALLOW'), [
      [0xffff, 0],
      [0xffff, 1],
      [0xffff, 5],
    ]);
  });

  test('where everything is allowed anyway, only the traps are added', () => {
    const { profile } = makeProfile(builtInBase, options);
    assert.deepEqual(bpfRules(profile, 'SCMP_ACT_ALLOW'), []);
    assert.equal(bpfRules(profile, 'SCMP_ACT_NOTIFY').length, 3);
  });

  for (const abi of ['SCMP_ARCH_X86', 'SCMP_ARCH_X32', 'SCMP_ARCH_ARM']) {
    test(`with ${abi} there is a rule for the upper half, which 32-bit calls do not have`, () => {
      const rules = bpfRules(made([], {}, { architectures: ['SCMP_ARCH_X86_64', abi] }), 'SCMP_ACT_NOTIFY');
      const [mask = 0, value = 0] = rules.at(-1) ?? [];
      assert.equal(Number(mask) % 2 ** 32, 0);
      assert.equal(Number(value) % 2 ** 32, 0);
      assert.ok(Number(value) > 0 && Number.isSafeInteger(mask));
    });
  }
});

describe('the conditions of the base are decided', () => {
  const cases: ReadonlyArray<[title: string, rule: object, more: Partial<ProfileOptions>, holds: boolean]> = [
    ['a capability the container has', { includes: { caps: ['CAP_BPF'] } }, {}, true],
    ['a capability it lacks', { includes: { caps: ['CAP_SYS_ADMIN'] } }, {}, false],
    ['two capabilities, one lacking', { includes: { caps: ['CAP_BPF', 'CAP_SYS_ADMIN'] } }, {}, false],
    ['not with a capability it has', { excludes: { caps: ['CAP_BPF'] } }, {}, false],
    ['not with a capability it lacks', { excludes: { caps: ['CAP_SYS_ADMIN'] } }, {}, true],
    ['this machine among others', { includes: { arches: ['arm64', 'amd64'] } }, {}, true],
    ['other machines', { includes: { arches: ['arm64'] } }, {}, false],
    ['not this machine', { excludes: { arches: ['amd64'] } }, {}, false],
    ['a kernel as old as this', { includes: { minKernel: '6.1' } }, {}, true],
    ['a newer kernel', { includes: { minKernel: '6.2' } }, {}, false],
    ['a kernel of an earlier series', { includes: { minKernel: '4.8' } }, {}, true],
    ['not with this kernel', { excludes: { minKernel: '4.8' } }, {}, false],
    ['no conditions', {}, {}, true],
  ];
  for (const [title, rule, more, holds] of cases) {
    test(`${title}: the rule ${holds ? 'holds' : 'goes'}`, () => {
      assert.deepEqual(namesOf(made([allow(['chroot'], rule)], more)), holds ? ['chroot'] : []);
    });
  }

  test('the map of architectures becomes a list for this machine', () => {
    const archMap = [
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] },
    ];
    const { architectures } = made([], {}, { architectures: [], archMap });
    assert.deepEqual(architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
  });

  test('arguments and error numbers of other rules stay', () => {
    const rule = {
      names: ['socket'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 22,
      args: [{ index: 0, value: 16, valueTwo: 0, op: 'SCMP_CMP_EQ' }],
    };
    assert.deepEqual(made([rule]).syscalls[0], rule);
  });

  test('an error by name becomes its number', () => {
    assert.equal(made([{ names: ['acct'], action: 'SCMP_ACT_ERRNO', errno: 'EPERM' }]).syscalls[0]?.errnoRet, 1);
  });
});

describe('the options', () => {
  test('clone3 stays as it was without nesting', () => {
    assert.deepEqual(namesOf(made([allow(['clone3', 'clone'])])), ['clone3', 'clone']);
  });

  test('with nesting clone3 goes to the agent', () => {
    const profile = made([allow(['clone3', 'clone'])], { nesting: true });
    assert.deepEqual(namesOf(profile), ['clone']);
    assert.deepEqual(namesOf(profile, 'SCMP_ACT_NOTIFY'), ['clone3']);
  });

  const refusing: ReadonlyArray<readonly [what: string, rules: readonly object[], defaultAction: string]> = [
    ['answers it with ENOSYS', [{ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }], 'SCMP_ACT_ALLOW'],
    [
      'allows it to CAP_SYS_ADMIN only',
      [allow(['clone3'], { includes: { caps: ['CAP_SYS_ADMIN'] } })],
      'SCMP_ACT_ERRNO',
    ],
    [
      'allows it with some arguments',
      [allow(['clone3'], { args: [{ index: 1, value: 88, op: 'SCMP_CMP_EQ' }] })],
      'SCMP_ACT_ERRNO',
    ],
    ['does not name it and refuses by default', [], 'SCMP_ACT_ERRNO'],
    ['kills for it', [{ names: ['clone3'], action: 'SCMP_ACT_KILL_PROCESS' }], 'SCMP_ACT_ALLOW'],
  ];
  for (const [what, rules, defaultAction] of refusing) {
    test(`nesting is refused where the base ${what}`, () => {
      assert.throws(() => made(rules, { nesting: true }, { defaultAction }), /--nesting would undo.*clone3/);
      assert.deepEqual(namesOf(made(rules, {}, { defaultAction }), 'SCMP_ACT_NOTIFY'), []);
    });
  }

  test('nesting is possible where the base allows all of clone3, by default too', () => {
    const allowsAll = { names: ['clone3'], action: 'SCMP_ACT_LOG' };
    for (const profile of [
      made([], { nesting: true }, { defaultAction: 'SCMP_ACT_ALLOW' }),
      made([allowsAll], { nesting: true }),
    ]) {
      assert.deepEqual(namesOf(profile, 'SCMP_ACT_NOTIFY'), ['clone3']);
    }
  });

  test('WAIT_KILLABLE is added to the flags of the base, once', () => {
    const flags = ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'];
    assert.deepEqual(made([], { waitKillable: true }, { flags: flags.slice(0, 1) }).flags, flags);
    assert.deepEqual(made([], { waitKillable: true }, { flags }).flags, flags);
    assert.equal(made([]).flags, undefined);
  });

  test('metadata goes beside the path of the socket', () => {
    assert.equal(made([], { metadata: 'name=web' }).listenerMetadata, 'name=web');
    assert.ok(!('listenerMetadata' in made([])));
  });

  test('perf_event_open is added for CAP_PERFMON where the base is older than that', () => {
    const old = allow(['perf_event_open'], { includes: { caps: ['CAP_SYS_ADMIN'] } });
    const current = allow(['perf_event_open'], { includes: { caps: ['CAP_PERFMON'] } });
    const capabilities = ['CAP_PERFMON'];
    assert.deepEqual(namesOf(made([old], { capabilities })), ['perf_event_open']);
    assert.deepEqual(namesOf(made([old])), []);
    assert.deepEqual(namesOf(made([current], { capabilities })), ['perf_event_open']);
  });
});

describe('a base that cannot be taken', () => {
  const cases: ReadonlyArray<[title: string, base: unknown, expected: RegExp]> = [
    [
      'it has another agent',
      { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/run/other.sock' },
      /agent at \/run\/other.sock/,
    ],
    [
      'it notifies of other calls',
      { defaultAction: 'X', syscalls: [{ names: ['mount'], action: 'SCMP_ACT_NOTIFY' }] },
      /hands mount/,
    ],
    ['it notifies of everything', { defaultAction: 'SCMP_ACT_NOTIFY' }, /every system call/],
    ['no object', [], /the profile: expected an object/],
    ['no default action', {}, /expected a string in "defaultAction"/],
    [
      'names that are none',
      { defaultAction: 'X', syscalls: [{ names: [1], action: 'X' }] },
      /syscalls\[0\]: expected only strings in "names"/,
    ],
    [
      'an unknown error',
      { defaultAction: 'X', syscalls: [{ names: [], action: 'X', errno: 'ENOPE' }] },
      /no such error.*ENOPE/,
    ],
    [
      'a number that JSON.parse would round',
      { defaultAction: 'X', syscalls: [{ names: [], action: 'X', args: [{ index: 0, value: 2 ** 60, op: 'Y' }] }] },
      /syscalls\[0\].args\[0\]: expected a whole number/,
    ],
  ];
  for (const [title, base, expected] of cases) {
    test(title, () => {
      assert.throws(() => makeProfile(parseProfile(JSON.stringify(base)), options), expected);
    });
  }

  test('text that is not JSON', () => {
    assert.throws(() => parseProfile('{'), /not JSON/);
  });
});

/** Any profile made of rules on a few calls, bpf among them. */
const anyBase: fc.Arbitrary<BaseProfile> = fc
  .record({
    defaultAction: fc.constantFrom('SCMP_ACT_ERRNO', 'SCMP_ACT_ALLOW'),
    architectures: fc.subarray(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']),
    syscalls: fc.array(
      fc.record({
        names: fc.subarray(['bpf', 'chroot', 'clone3', 'mount'], { minLength: 1 }),
        action: fc.constantFrom('SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO', 'SCMP_ACT_KILL'),
        includes: fc.record({ caps: fc.subarray(['CAP_BPF', 'CAP_SYS_ADMIN']) }),
        excludes: fc.record({ caps: fc.subarray(['CAP_BPF', 'CAP_SYS_ADMIN']) }),
      }),
    ),
  })
  .map((base) => parseProfile(JSON.stringify(base)));

describe('for any base', () => {
  const property = (check: (base: BaseProfile, nesting: boolean) => void): void =>
    fc.assert(
      fc.property(anyBase, fc.boolean(), (base, nesting) => {
        fc.pre(!nesting || isPossible(base));
        check(base, nesting);
      }),
    );
  const isPossible = (base: BaseProfile): boolean => {
    try {
      return makeProfile(base, { ...options, nesting: true }).changes.length > 0;
    } catch (error) {
      assert.ok(error instanceof ProfileError);
      return false;
    }
  };

  test('with nesting no call of clone3 gets through that the base refuses', () => {
    property((base, nesting) => {
      if (!nesting) return;
      const plain = makeProfile(base, { ...options, nesting: false }).profile;
      const rules = plain.syscalls.filter(({ names }) => names.includes('clone3'));
      assert.ok(rules.every(({ action }) => action === 'SCMP_ACT_ALLOW'));
      assert.ok(rules.length > 0 || plain.defaultAction === 'SCMP_ACT_ALLOW');
    });
  });

  test('no rule covers all of bpf(2)', () => {
    property((base, nesting) => {
      const { syscalls } = makeProfile(base, { ...options, nesting }).profile;
      assert.ok(syscalls.every(({ names, args }) => !names.includes('bpf') || args?.length === 1));
    });
  });

  test('the profile made from a made profile is the same', () => {
    property((base, nesting) => {
      const { profile } = makeProfile(base, { ...options, nesting });
      const again = makeProfile(parseProfile(JSON.stringify(profile)), { ...options, nesting }).profile;
      assert.deepEqual(again, profile);
    });
  });

  test('rules on other calls neither come nor go, nor change places', () => {
    property((base) => {
      const others = ({ names }: { names: readonly string[] }): readonly string[] => names.filter((n) => n !== 'bpf');
      const has = (cap: string): boolean => cap === 'CAP_BPF';
      const held = base.syscalls.filter(
        ({ includes, excludes }) => includes.caps.every(has) && !excludes.caps.some(has),
      );
      const { syscalls } = makeProfile(base, options).profile;
      assert.deepEqual(syscalls.flatMap(others), held.flatMap(others));
    });
  });
});
