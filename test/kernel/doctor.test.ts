/** `bpfns doctor`. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { allRight, allRunning, startGuest } from '../support/crash-guests.js';
import {
  bpfns,
  bpfnsPath,
  inNamespace,
  leavesNothingBehind,
  namespaceNames,
  run,
  skipReason,
  startInNamespace,
  until,
} from '../support/host.js';
import { times } from '../support/slowness.js';

interface Report {
  ready: boolean;
  recorder: { backend: string; cost: string; misses: string | null } | null;
  features: Array<{ name: string; required: boolean; answer: string }>;
}

describe('doctor', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('succeeds where run works, and names the recorder that run then uses', () => {
    assert.equal(inNamespace('true').status, 0);
    const { status, stdout } = bpfns(['doctor', '--json']);
    const report = JSON.parse(stdout) as Report;
    assert.equal(status, 0);
    assert.equal(report.ready, true);
    assert.match(report.recorder?.backend ?? '', /^(lsm|kprobe|function|tracepoint)$/);
    for (const { required, answer, name } of report.features) if (required) assert.equal(answer, 'yes', name);
  });

  test('says in words what each feature is for, and that run works', () => {
    const { stdout } = bpfns(['doctor']);
    assert.match(stdout, /seccomp listener +lets the agent answer id commands/);
    assert.match(stdout, /recorder: (lsm|kprobe|function|tracepoint) hooks/);
    assert.match(stdout, /'bpfns run' works here\.\n$/);
  });

  test('says of each tracing mode whether it works here', () => {
    const { stdout } = bpfns(['doctor']);
    for (const mode of ['host', 'own', 'filtered', 'none']) {
      assert.match(stdout, new RegExp(`^tracing=${mode}: works here; `, 'm'));
    }
    const { tracing } = JSON.parse(bpfns(['doctor', '--json']).stdout);
    assert.deepEqual(tracing[1], { mode: 'own', missing: [] });
  });

  test('says who keeps the listeners while an agent runs', async () => {
    const guest = await startInNamespace('echo ready; read -r _ || true');
    assert.match(bpfns(['doctor']).stdout, /^listeners: the agent and its supervisor have them; .*systemd/m);
    await guest.end();
  });

  // To try the hooks it attaches to bpf(2). Calls in progress then skip fexit at their return, the recorder's too.
  test('leaves what guests create meanwhile in their namespaces', async () => {
    const loader = startGuest('loader', 'load');
    await until(() => namespaceNames().includes('loader'), 'the guest has not started');
    for (let i = 0; i < times(5); i++) assert.equal(bpfns(['doctor']).status, 0);
    allRunning([loader]);
    await allRight([loader]);
  });

  test('says so where perf events are refused to guests without CAP_PERFMON', () => {
    const setting = '/proc/sys/kernel/perf_event_paranoid';
    const earlier = readFileSync(setting, 'latin1');
    try {
      writeFileSync(setting, '3');
      assert.match(bpfns(['doctor']).stdout, /^perf events: kernel.perf_event_paranoid is 3: /m);
      writeFileSync(setting, '2');
      assert.doesNotMatch(bpfns(['doctor']).stdout, /^perf events: /m);
    } finally {
      writeFileSync(setting, earlier);
    }
  });

  test('fails for a user who could not run, and says why', () => {
    const { status, stdout } = run(['setpriv', '--reuid=65534', '--clear-groups', bpfnsPath, 'doctor']);
    assert.equal(status, 1);
    assert.match(stdout, /Run it as root/);
  });
});
