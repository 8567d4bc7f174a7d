/**
 * `bpfns web` in a real browser. The pictures of it and of `bpfns top` go to build/screenshots, and those in docs/
 * are made by `make screenshots`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { type Browser, startBrowser } from '../support/browser.js';
import { Daemon } from '../support/daemons.js';
import {
  asContainerUser,
  bpfns,
  bpfnsPath,
  type Guest,
  guestPath,
  leavesNothingBehind,
  listed,
  root,
  run,
  runDir,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { limit } from '../support/slowness.js';
import { Tmux } from '../support/tmux.js';

const PORT = 19655;
const url = `http://127.0.0.1:${PORT}/`;
const screenshots = `${root}build/screenshots`;
/** Of a host that others use at the same time, only a part of its memory. */
const [parents, children, maps] = process.env.BPFNS_TEST_SHARED_HOST ? [2, 10, 20] : [4, 49, 100];

describe('bpfns web', { skip: skipReason }, () => {
  leavesNothingBehind();
  describe('while a daemon serves', webTests);
});

function webTests(): void {
  const directory = mkdtempSync('/tmp/bpfns-web-');
  let daemon: Daemon;
  let web: ChildProcess;
  const servers: ChildProcess[] = [];
  let browser: Browser;
  let page: Page;
  let guest: Guest;

  const startWeb = async (...args: string[]): Promise<ChildProcess> => {
    const child = spawn(bpfnsPath, ['web', '--user', 'games', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    servers.push(child);
    let text = '';
    child.stdout.on('data', (part) => {
      text += String(part);
    });
    await until(() => text.includes('serving') || child.exitCode !== null, 'the page is not served', 20);
    assert.equal(child.exitCode, null, 'the server has ended');
    return child;
  };
  /** Cells of the rows in sight of one table. */
  const rows = (table: string): Promise<string[][]> =>
    page
      .locator(`[aria-label="${table}"] .row`)
      .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent ?? '')));
  const namespace = (name: string): ReturnType<Page['locator']> =>
    page.locator('[aria-label="namespaces"] .row', { has: page.getByText(name, { exact: true }) });

  before(async () => {
    mkdirSync(screenshots, { recursive: true });
    daemon = await Daemon.configured('[control]\nread-only-group = "games"\n');
    web = await startWeb('--listen', `127.0.0.1:${PORT}`);
    run(['chmod', '755', directory]);
    copyFileSync(guestPath('busy'), `${directory}/<script>`);
    run(['chmod', '755', `${directory}/<script>`]);
    guest = await start([bpfnsPath, 'run', '--name', 'shop', '--', ...asContainerUser, `${directory}/<script>`, '5']);
    browser = await startBrowser();
    page = await browser.open(url);
    await namespace('shop').waitFor();
  });
  after(async () => {
    await browser?.close();
    await guest?.end();
    for (const server of servers) server.kill('SIGTERM');
    await daemon?.end();
    rmSync(directory, { recursive: true });
  });

  test('serves as a user without any capability', () => {
    const status = readFileSync(`/proc/${web.pid}/status`, 'latin1');
    assert.match(status, /^Uid:\t5\t5\t5\t5$/m);
    assert.match(status, /^CapEff:\t0+$/m);
  });

  test('shows a namespace with its objects, and what its programs take', async () => {
    await guest.ask('run 100000', 'done');
    const [, cpu, , , objects, tasks] = (await rows('namespaces')).find(([name]) => name?.endsWith('shop')) ?? [];
    assert.match(cpu ?? '', / %$/);
    assert.deepEqual([objects, tasks], ['6', '1']);
    await namespace('shop').click();
    await page.getByRole('heading', { name: 'Objects of shop' }).waitFor();
    await until(async () => (await rows('objects')).length === 6, 'the objects do not show');
  });

  test('shows the name of a guest as text, and what keeps its map alive', async () => {
    await page.locator('[aria-label="objects"] .row', { hasText: 'map 1' }).first().click();
    const details = page.getByLabel('Details');
    await details.getByText('kept alive by').waitFor();
    assert.match(
      (await details.textContent()) ?? '',
      /made by<script>\[\d+\], uid 65534.*a file descriptor of <script>\[\d+\]/,
    );
    assert.equal(await page.locator('script').count(), 1, 'the page has its own script alone');
  });

  test('follows guests within two seconds as they come and go', async (t) => {
    // A busy machine may be late now and then, a page that looks too seldom is late each time.
    const visits: Array<{ readonly came: number; readonly left: number }> = [];
    const isInTime = (): boolean => visits.some(({ came, left }) => came < limit(2000) && left < limit(2000));
    for (let i = 0; i < 10 && !isInTime(); i++) {
      const name = `visitor${i}`;
      const other = await start([bpfnsPath, 'run', '--name', name, '--', ...asContainerUser, guestPath('busy')]);
      const came = await took(namespace(name).waitFor({ timeout: limit(60_000) }));
      await other.end();
      const left = await took(namespace(name).waitFor({ state: 'detached', timeout: limit(60_000) }));
      visits.push({ came, left });
    }
    t.diagnostic(visits.map(({ came, left }) => `shown after ${came} ms, gone after ${left} ms`).join('; '));
    assert.ok(isInTime(), JSON.stringify(visits));
  });

  test('makes a refused call stand out among the events', async () => {
    const refused = page.locator('[aria-label="events"] .refused').first();
    for (let i = 0; i < 20 && !(await refused.isVisible()); i++) {
      bpfns([
        'run',
        '--',
        'setpriv',
        '--reuid=65534',
        '--clear-groups',
        '--bounding-set=-all',
        'bpftool',
        'map',
        'list',
      ]);
      await page.waitForTimeout(200);
    }
    assert.equal(await refused.textContent(), 'call-refused');
    const colour = (of: string): Promise<string | undefined> => style(page, of, 'color');
    assert.notEqual(await colour('[aria-label="events"] .refused'), await colour('[aria-label="events"] .row'));
  });

  test('finds objects by host id, name and the pid of their creator, and a process', async () => {
    const [map] = listed('map', 'shop');
    const search = page.getByLabel('Search');
    const found = async (text: string, wanted: (all: string[][]) => boolean): Promise<void> => {
      await search.fill(text);
      let all: string[][] = [];
      const isFound = async (): Promise<boolean> => {
        all = await rows('objects');
        return wanted(all);
      };
      await until(isFound, `'${text}' is not found`).catch(() => assert.fail(JSON.stringify(all)));
    };
    await found(
      String(map?.hostId),
      (all) =>
        all.length >= 1 &&
        all.every((row) => row.includes(String(map?.hostId)) || row.join().includes(`${map?.hostId}`)),
    );
    await found('busy', (all) => all.length === 6);
    const pid = map?.creator?.pid ?? 0;
    await found(String(pid), (all) => all.length === 6);
    await page.getByText(`Process ${pid} is in namespace shop.`).waitFor();
    await search.fill('');
  });

  test('can be used by keyboard alone', async () => {
    const grid = page.getByRole('grid', { name: 'objects' });
    await grid.focus();
    for (const key of ['End', 'Home', 'ArrowDown', 'Enter']) await page.keyboard.press(key);
    await page.getByLabel('Details').getByRole('heading').waitFor();
    const active = async (): Promise<string | null> =>
      page.locator(`[id="${await grid.getAttribute('aria-activedescendant')}"]`).getAttribute('aria-rowindex');
    await until(async () => (await active()) === '3', 'the second object is not the active one');
    const tree = page.getByRole('treegrid', { name: 'namespaces' });
    await tree.focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowLeft');
    await namespace('shop').waitFor({ state: 'detached' });
    await page.keyboard.press('ArrowRight');
    await namespace('shop').waitFor();
  });

  test('tells screen readers what each part is', async () => {
    for (const name of ['Plots', 'Namespaces', 'Objects', 'Events'])
      await page.getByRole('region', { name, exact: true }).waitFor();
    const plots = page.locator('.plot[role="img"]');
    assert.equal(await plots.count(), 2);
    assert.match((await plots.first().getAttribute('aria-label')) ?? '', /^CPU, percent of one: .*shop \d/);
    assert.equal(await page.locator('button:not([aria-label]):empty, input:not([id]):not(label input)').count(), 0);
  });

  test('is light or dark as the user has it', async () => {
    const paper = (): Promise<string | undefined> => style(page, 'html', 'backgroundColor');
    const more = await Promise.all(
      ['web', 'db', 'cache'].map((name, i) =>
        start([
          bpfnsPath,
          'run',
          '--name',
          name,
          '--',
          ...asContainerUser,
          guestPath('busy'),
          String(8 * i + 4),
          String(i),
        ]),
      ),
    );
    for (let i = 0; i < 4; i++) {
      await Promise.all(more.map((each, of) => each.ask(`run ${400_000 * (of + 1 + (i % 2))}`, 'done')));
      await page.waitForTimeout(900);
    }
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await paper();
    await page.screenshot({ path: `${screenshots}/web-light.png` });
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.notEqual(await paper(), light);
    for (const each of more) await each.end();
    await page.screenshot({ path: `${screenshots}/web-dark.png` });
    await page.emulateMedia({ colorScheme: 'light' });
  });

  test('stays fluid with hundreds of namespaces and thousands of objects', { timeout: limit(600_000) }, async (t) => {
    const many = await Promise.all(
      Array.from({ length: parents }, (_, i) =>
        start([
          bpfnsPath,
          'run',
          '--name',
          `many${i}`,
          '--',
          ...asContainerUser,
          guestPath('busy'),
          String(maps),
          String(children),
        ]),
      ),
    );
    const objects = parents * (children + 1) * (maps + 1);
    const loaded = performance.now();
    const fresh = await browser.open(url);
    const total = fresh.locator('.totals div', { hasText: 'Objects' }).locator('dd');
    await total.waitFor();
    const painted = performance.now() - loaded;
    const shown = async (): Promise<number> => Number((await total.textContent())?.replaceAll(',', ''));
    await until(async () => (await shown()) >= objects, `not all ${objects} objects are shown`, 180);
    await fresh.evaluate(() => performance.clearMeasures());
    await fresh.waitForFunction(() => performance.getEntriesByName('update').length >= 5, undefined, {
      timeout: 60_000,
    });
    const updates = await fresh.evaluate(() => performance.getEntriesByName('update').map(({ duration }) => duration));
    const inDocument = await fresh.locator('.row').count();
    const longest = Math.max(...updates);
    t.diagnostic(
      `${parents * (children + 1)} namespaces, ${objects} objects: first paint with all after ${painted.toFixed(0)} ms, ` +
        `an update takes ${(updates.reduce((a, b) => a + b) / updates.length).toFixed(0)} ms, at most ${longest.toFixed(0)} ms`,
    );
    assert.ok(inDocument < 100, 'only rows in sight are in the document');
    await fresh.close();
    for (const each of many) await each.end();
  });

  test('has made no complaint about its own scripts and policy', () => {
    // A number that was searched for is looked up as a pid, if that takes a moment, and no process has it.
    const isNoProcess = /404 \(Not Found\) \S+\/api\/task\?pid=\d+$/;
    assert.deepEqual(
      browser.complaints.filter((complaint) => !isNoProcess.test(complaint)),
      [],
    );
  });

  test('refuses other names, other sites and other methods', async () => {
    const status = async (headers: Record<string, string>, method = 'GET'): Promise<string> =>
      run([
        'curl',
        '-s',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-X',
        method,
        ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
        `${url}api/who?kind=map&id=1`,
      ]).stdout;
    assert.equal(await status({ Host: `evil.example:${PORT}` }), '403');
    assert.equal(await status({ Origin: 'http://evil.example' }), '403');
    assert.equal(await status({ 'Sec-Fetch-Site': 'cross-site' }), '403');
    assert.equal(await status({}, 'POST'), '405');
    assert.equal(await status({}), '404');
  });

  test('shows nothing without the token, where there is one', async () => {
    writeFileSync(`${directory}/token`, 'a token of some length\n', { mode: 0o600 });
    await startWeb('--listen', `127.0.0.1:${PORT + 1}`, '--token-file', `${directory}/token`);
    const fresh = await browser.context.newPage();
    await fresh.goto(`http://127.0.0.1:${PORT + 1}/`);
    assert.equal((await fresh.request.get(`http://127.0.0.1:${PORT + 1}/api/samples`)).status(), 401);
    await fresh.getByLabel('Token').fill('a wrong token, also long');
    await fresh.getByRole('button').click();
    await fresh.getByText('That is not the token.').waitFor();
    await fresh.getByLabel('Token').fill('a token of some length');
    await fresh.getByRole('button').click();
    await fresh.getByText('shop', { exact: true }).first().waitFor();
    await fresh.close();
  });

  const mistakes: ReadonlyArray<readonly [what: string, args: readonly string[], message: RegExp]> = [
    [
      'beyond the loopback without a token',
      ['--user', 'games', '--listen', '0.0.0.0:1'],
      /beyond the loopback a token is needed/,
    ],
    ['as root', [], /web does not run as root/],
    ['as a user that is not there', ['--user', 'nobody-at-all'], /there is no such user/],
    ['at what is no address', ['--listen', 'localhost:1'], /is no address and port/],
  ];
  for (const [what, args, message] of mistakes) {
    test(`does not start ${what}`, () => {
      const { status, stderr } = bpfns(['web', ...args]);
      assert.equal(status, 1);
      assert.match(stderr, message);
    });
  }

  test('makes a picture of top too', async () => {
    const other = await start([
      bpfnsPath,
      'run',
      '--name',
      'web',
      '--',
      ...asContainerUser,
      guestPath('busy'),
      '12',
      '3',
    ]);
    const terminal = new Tmux(`env BPFNS_RUN_DIR=${runDir} ${bpfnsPath} top -i 0.3`);
    await until(() => / shop$/m.test(terminal.screen()), 'top shows nothing', 20);
    await Promise.all([other.ask('run 2000000', 'done'), guest.ask('run 3000000', 'done')]);
    await until(() => !/0\.00 .* shop$/m.test(terminal.screen()), 'top shows no CPU', 20);
    const text = terminal.screen().replaceAll('&', '&amp;').replaceAll('<', '&lt;');
    terminal.close();
    await other.end();
    const fresh = await browser.context.newPage();
    await fresh.setContent(
      `<pre style="font: 14px 'DejaVu Sans Mono'; background: #14171c; color: #e4e7eb; padding: 12px; display: inline-block">${text}</pre>`,
    );
    await fresh.locator('pre').screenshot({ path: `${screenshots}/top.png` });
    await fresh.close();
    assert.ok(existsSync(`${screenshots}/top.png`));
  });
}

/** In ms. */
async function took(event: Promise<void>): Promise<number> {
  const started = performance.now();
  await event;
  return Math.round(performance.now() - started);
}

/** A property of the first element that a selector finds, as the browser computes it. */
function style(page: Page, selector: string, property: string): Promise<string | undefined> {
  type Window = { getComputedStyle(element: unknown): Readonly<Record<string, string>> };
  return page
    .locator(selector)
    .first()
    .evaluate((element, name) => (globalThis as unknown as Window).getComputedStyle(element)[name], property);
}
