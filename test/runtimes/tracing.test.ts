/** tracing=own in containers: an unmodified bpftrace, as uid 0 with CAP_BPF alone, sees its own container only. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Daemon } from '../support/daemons.js';
import { bpfns, guestPath, leavesNothingBehind, run, skipReason, until } from '../support/host.js';
import { limit } from '../support/slowness.js';
import { sh } from './support/bpftool.js';
import { crun, runc } from './support/bundle.js';
import { ctrClient } from './support/containerd.js';
import { type Container, scriptOutput } from './support/engine.js';
import { leavesNoContainersBehind, workDir } from './support/machine.js';
import { podmanAlone } from './support/podman.js';
import { writeProfile } from './support/profile.js';

const script = `
  tracepoint:syscalls:sys_enter_openat { printf("%d %s %s\\n", pid, comm, str(args->filename)); }
  tracepoint:raw_syscalls:sys_enter { @calls[comm] = count(); }
  profile:hz:99 { @samples[comm] = count(); }
  uprobe:/usr/bin/bash:main { @main[comm] = count(); }
  usdt:/opt/probed:bpfns:probed { @hits[comm] = count(); }
  interval:ms:100 /@ready == 0/ { printf("ready\\n"); @ready = 1; }`;

/** The container's PID 1 then opens /tmp/done, as its first call after the tracer has begun. */
const startTracer = `/usr/bin/bpftrace -B line -e '${script}' >/tmp/trace 2>&1 &
  echo $! >/tmp/tracer
  until grep -q ^ready /tmp/trace; do sleep 0.1; done`;

/** What runs in the container that traces; nothing else may show. */
const own: readonly string[] = [
  ...['bash', 'bpftool', 'bpftrace', 'busybox', 'cat', 'exe', 'grep', 'mkfifo', 'probed'],
  ...['runc:[2:INIT]', 'sh', 'sleep'],
];

for (const engine of [runc, crun, podmanAlone, ctrClient]) {
  describe(`tracing=own in containers of ${engine.name}`, { skip: skipReason }, () => {
    leavesNothingBehind();
    leavesNoContainersBehind();

    describe('while another container and the host make system calls all the time', () => {
      let daemon: Daemon;
      let host: ChildProcess;
      let tracing: Container;
      let other: Container;
      before(async () => {
        daemon = await Daemon.configured('');
        await engine.open();
        const view = bpfns(['tracefs']).stdout.trim();
        const profile = writeProfile('own', ['--tracing=own', '--cap-add=bpf']);
        const capabilities = ['bpf'];
        symlinkSync('/bin/dd', `${workDir}/gamma-${engine.name}`);
        const loop = `while :; do ./gamma-${engine.name} if=/etc/hostname of=/dev/null bs=1 2>/dev/null; done`;
        host = spawn('sh', ['-c', loop], { cwd: workDir });
        other = await engine.start({
          label: 'other',
          profile,
          capabilities,
          script: '(while :; do /bin/id; done) >/dev/null 2>&1 &',
        });
        mkdirSync(`${workDir}/opt-${engine.name}`);
        copyFileSync(guestPath('probed'), `${workDir}/opt-${engine.name}/probed`);
        const opt = { '/opt': `${workDir}/opt-${engine.name}` };
        const mounts = { '/usr': '/usr', '/lib': '/lib', '/lib64': '/lib64', '/sys/kernel/tracing': view, ...opt };
        tracing = await engine.start({ label: 'tracing', profile, capabilities, mounts, script: startTracer });
      });
      after(async () => {
        host?.kill();
        await tracing?.remove();
        await other?.remove();
        await engine.close();
        await daemon.stop();
      });

      const trace = (): Promise<string> => sh(tracing, 'cat /tmp/trace');
      /** The tracer prints an event some time after it happened. */
      const shows = async (line: RegExp): Promise<void> => {
        let text = '';
        for (const end = Date.now() + limit(10_000); !line.test(text); text = await trace())
          assert.ok(Date.now() < end, `${line} does not show in\n${text}`);
      };

      test('the tracer starts, with CAP_BPF alone', async () => {
        const { status, text } = await scriptOutput(tracing);
        assert.equal(status, 0, `${text}${await trace()}`);
      });

      test('the first process of the container shows, under its pid there', async () => {
        await shows(/^1 sh \/tmp\/done$/m);
      });

      test('a process of an exec shows, under its pid there', async () => {
        const pid = await sh(tracing, 'bpftool map list >/dev/null; echo $$; exec cat /etc/passwd >/dev/null');
        await shows(new RegExp(`^${pid.trim()} cat /etc/passwd$`, 'm'));
      });

      test('a child that such a process forked shows, whenever that was', async () => {
        const child = '(read -r _; exec cat /etc/group >/dev/null) </tmp/fifo &';
        await sh(tracing, `mkfifo /tmp/fifo; ${child} bpftool map list >/dev/null; echo >/tmp/fifo; wait`);
        await shows(/^\d+ cat \/etc\/group$/m);
      });

      test('calls of a function and a USDT probe in files of its root show, and none of the host', async () => {
        for (let i = 0; i < 5; i++) {
          assert.equal(run(['bash', '-c', `exec ${workDir}/opt-${engine.name}/probed calls 100`]).status, 0);
        }
        // A call that is trapped waits until the tasks of the exec count.
        const calls = '/usr/bin/bash -c :; /usr/bin/bash -c :; /opt/probed calls 1000';
        await sh(tracing, `bpftool map list >/dev/null; ${calls}`);
      });

      test('nothing else shows: no call, no sample and no pid of the other container or the host', async () => {
        await sh(tracing, 'i=0; while [ $i -lt 500000 ]; do i=$((i + 1)); done');
        const running = "grep -q 'State:.[^Z]' /proc/$(cat /tmp/tracer)/status";
        // The SIGINT alone may not do: see endTracer.
        const again = 'kill -USR1 $(cat /tmp/tracer) 2>/dev/null; sleep 0.1';
        await sh(tracing, `kill -INT $(cat /tmp/tracer); while ${running}; do ${again}; done`);
        const text = await trace();
        const newest = Number(await sh(tracing, 'echo $$'));
        for (const [, map, comm] of text.matchAll(/^@(calls|samples)\[(.*)\]/gm))
          assert.ok(own.includes(comm ?? ''), `${map} of ${comm}`);
        const probed = new Set(text.match(/^@(main|hits)\[.*$/gm));
        assert.deepEqual([...probed].sort(), ['@hits[probed]: 1000', '@main[bash]: 2'], text);
        const opened = [...text.matchAll(/^(\d+) (\S+) (.*)$/gm)];
        for (const [line, pid, comm] of opened) {
          assert.ok(own.includes(comm ?? ''), line);
          assert.ok(Number(pid) > 0 && Number(pid) < newest, line);
        }
        assert.ok(opened.length > 20, text);
        assert.match(text, /^@samples\[sh\]/m);
      });

      test('the host sees the mode, and whose the programs are', async () => {
        const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
        const modes = namespaces.map(({ name, tracing: mode }: { name: string; tracing: string }) => [name, mode]);
        assert.deepEqual(Object.fromEntries(modes)[tracing.id], 'own');
        await until(
          () => bpfns(['prog', 'list', '--ns', tracing.id, '--json']).stdout.includes('"objects": []'),
          'programs are left',
        );
      });
    });
  });
}
