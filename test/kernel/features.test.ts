/** Compares the table of src/kernel/features.ts with the running kernel. */
import assert from 'node:assert/strict';
import { release } from 'node:os';
import { describe, test } from 'node:test';
import { features } from '../../src/kernel/features.js';
import { type GuestFeature, guestFeatures } from '../support/guest-features.js';
import { leavesNothingBehind, root, run, skipReason } from '../support/host.js';

/** Converts "6.1.0-56-cloud-amd64" or "5.14" to a number for comparison. */
function version(text: string): number {
  const [major = 0, minor = 0] = text.split(/[.-]/).map(Number);
  return major * 1000 + minor;
}

describe(`features of Linux ${release()}`, { skip: skipReason }, () => {
  leavesNothingBehind();

  for (const { name, since, until, option, probe } of [...features, ...guestFeatures] as readonly GuestFeature[]) {
    const here = version(release());
    const isExpected = here >= version(since) && (until === undefined || here < version(until));
    test(`${name}, there ${until ? `before ${until}` : `since ${since}`}: ${isExpected ? 'found, or refused by policy' : 'missing'}`, (t) => {
      const { answer, detail, isRefused } = probe();
      if (detail !== '') t.diagnostic(`${name}: ${answer}, ${detail}`);
      if (option && answer === 'no') t.diagnostic(`perhaps the kernel is built without ${option}`);
      else if (isRefused) assert.ok(isExpected, 'refused, but not there yet');
      else assert.equal(answer, isExpected ? 'yes' : 'no', detail);
    });
  }
});

describe('probes as a user without capabilities', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('what cannot be told is unknown or refused, and never taken for missing', () => {
    const script = `import('${root}build/js/src/kernel/features.js').then(({ features }) => console.log(
      JSON.stringify(features.map(({ name, since, option, probe }) => ({ name, since, option, ...probe() })))))`;
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all'];
    const { status, stdout, stderr } = run([...asNobody, '--inh-caps=-all', process.execPath, '-e', script]);
    assert.equal(status, 0, stderr);
    type Line = { name: string; since: string; option?: string; answer: string; isRefused?: boolean };
    const lines = JSON.parse(stdout) as Line[];
    const mistaken = lines.filter(
      ({ since, option, answer, isRefused }) =>
        answer === 'no' && !isRefused && option === undefined && version(release()) >= version(since),
    );
    assert.deepEqual(mistaken, []);
    assert.ok(lines.some(({ answer }) => answer === 'unknown'));
  });
});
