/** A real Prometheus scrapes the daemon; the rules and the dashboard in packaging/ are what it understands. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import {
  asContainerUser,
  bpfnsPath,
  type Guest,
  guestPath,
  leavesNothingBehind,
  root,
  run,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { limit } from '../support/slowness.js';

const METRICS = '127.0.0.1:19435';
const PROMETHEUS = '127.0.0.1:19090';
const packaging = `${root}packaging`;

interface Dashboard {
  readonly panels: ReadonlyArray<{
    readonly title: string;
    readonly targets: ReadonlyArray<{ readonly expr: string }>;
  }>;
  readonly templating: { readonly list: ReadonlyArray<{ readonly definition?: string }> };
}

describe('the rules of alerts', () => {
  test('are valid, and so is the example of a scrape', () => {
    for (const command of [
      ['rules', 'bpfns.rules.yml'],
      ['config', 'prometheus.yml'],
    ]) {
      const { status, stdout, stderr } = run([
        'promtool',
        'check',
        command[0] ?? '',
        `${packaging}/prometheus/${command[1]}`,
      ]);
      assert.equal(status, 0, stdout + stderr);
    }
  });

  test('fire when they should, and not before', () => {
    const { status, stdout, stderr } = run([
      'promtool',
      'test',
      'rules',
      `${packaging}/prometheus/bpfns.rules.test.yml`,
    ]);
    assert.equal(status, 0, stdout + stderr);
  });
});

describe('Prometheus', { skip: skipReason }, () => {
  leavesNothingBehind();
  describe('while it scrapes a daemon', scrapeTests);
});

function scrapeTests(): void {
  const directory = mkdtempSync('/tmp/bpfns-prometheus-');
  let daemon: Daemon;
  let prometheus: ChildProcess;
  let guest: Guest;
  let log = '';

  /** The values that a query gives, by the label `namespace`. */
  async function query(expression: string): Promise<Map<string, number>> {
    const response = await fetch(`http://${PROMETHEUS}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const { status, error, data } = (await response.json()) as {
      status: string;
      error?: string;
      data?: { result: ReadonlyArray<{ metric: { namespace?: string }; value: [number, string] }> };
    };
    assert.equal(status, 'success', `${expression}: ${error}`);
    return new Map(data?.result.map(({ metric, value }) => [metric.namespace ?? '', Number(value[1])]));
  }

  before(async () => {
    writeFileSync(
      `${directory}/prometheus.yml`,
      readFileSync(`${packaging}/prometheus/prometheus.yml`, 'utf8')
        .replaceAll('127.0.0.1:9435', METRICS)
        .replace('scrape_interval: 15s', 'scrape_interval: 1s\n    scrape_timeout: 1s')
        .replace('bpfns.rules.yml', `${packaging}/prometheus/bpfns.rules.yml`),
    );
    const metrics = `[metrics]\nlisten = "${METRICS}"\nprograms = 10000\n`;
    daemon = await Daemon.configured(`${metrics}[statistics]\nruntime = "always"\n`);
    guest = await start([bpfnsPath, 'run', '--name', 'scraped', '--', ...asContainerUser, guestPath('busy'), '3']);
    prometheus = spawn('prometheus', [
      `--config.file=${directory}/prometheus.yml`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=${PROMETHEUS}`,
    ]);
    prometheus.stderr?.on('data', (part) => {
      log += String(part);
    });
    await until(
      () => log.includes('Server is ready') || prometheus.exitCode !== null,
      `Prometheus has not started`,
      120,
    );
    assert.equal(prometheus.exitCode, null, log);
  });
  after(async () => {
    await guest?.end();
    prometheus?.kill('SIGTERM');
    await until(() => prometheus.exitCode !== null || prometheus.signalCode !== null, 'Prometheus has not ended', 20);
    await daemon?.end();
    rmSync(directory, { recursive: true });
  });

  test('it learns what each namespace takes', async () => {
    let runs = new Map<string, number>();
    for (const end = Date.now() + limit(120_000); (runs.get('scraped') ?? 0) < 2000; ) {
      assert.ok(Date.now() < end, `runs: ${JSON.stringify([...runs])}; ${log}`);
      // The first look counts from nothing: what runs after it is counted.
      await guest.ask('run 1000', 'done');
      await guest.ask('list 1', 'done'); // a trapped call
      await new Promise((resolve) => setTimeout(resolve, 300));
      runs = await query('bpfns_program_runs_total');
    }
    for (const [expression, namespace, isRight] of [
      ['bpfns_program_run_seconds_total', 'scraped', (value) => value > 0],
      ['bpfns_object_memory_bytes', 'scraped', (value) => value > 0],
      ['count(bpfns_each_program_runs_total{namespace="scraped"} > 0)', '', (value) => value === 1],
      ['bpfns_run_time_counted', '', (value) => value === 1],
      ['up{job="bpfns"}', '', (value) => value === 1],
    ] satisfies ReadonlyArray<[string, string, (value: number) => boolean]>) {
      // Nothing is known while the last scrape took too long.
      const isKnown = async (): Promise<boolean> => isRight((await query(expression)).get(namespace) ?? Number.NaN);
      await until(isKnown, `${expression} is not what it should be`);
    }
  });

  test('it has loaded the rules, and none fires', async () => {
    const response = await fetch(`http://${PROMETHEUS}/api/v1/rules`);
    const { data } = (await response.json()) as {
      data: { groups: Array<{ rules: Array<{ name: string; state: string }> }> };
    };
    const rules = data.groups.flatMap((group) => group.rules);
    const written = readFileSync(`${packaging}/prometheus/bpfns.rules.yml`, 'utf8').match(/- alert: /g);
    assert.equal(rules.length, written?.length);
    assert.deepEqual(
      rules.filter(({ state }) => state === 'firing'),
      [],
    );
  });

  test('it understands every expression of the dashboard, and knows the metrics in it', async () => {
    const dashboard = JSON.parse(readFileSync(`${packaging}/grafana/bpfns.json`, 'utf8')) as Dashboard;
    assert.ok(dashboard.panels.length >= 12);
    const names = new Set<string>();
    for (const { targets } of dashboard.panels) {
      for (const { expr } of targets) {
        await query(expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(instance|namespace)/g, '.*'));
        for (const [name] of expr.matchAll(/bpfns_\w+/g)) names.add(name);
      }
    }
    for (const name of names) {
      if (name === 'bpfns_refused_calls_total') continue; // nothing has been refused here
      const isThere = async (): Promise<boolean> => ((await query(`count(${name})`)).get('') ?? 0) > 0;
      await until(isThere, `${name} is no metric`);
    }
  });
}
