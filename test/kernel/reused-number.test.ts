/**
 * A caller exits and another process gets its number. Nothing that is done for the caller reaches
 * that process.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { Caller, CallerGone, killCaller } from '../../src/calls/caller.js';
import { PathResolver } from '../../src/calls/commands/pins/path-resolver.js';
import { KeptFds } from '../../src/calls/kept-fds.js';
import { Namespaces } from '../../src/model/namespaces.js';
import { Eye } from '../../src/recorder/eye.js';
import { Recorder } from '../../src/recorder/recorder.js';
import { TaskStates } from '../../src/recorder/task-states.js';
import { E } from '../../src/sys/errno.js';
import { Fd } from '../../src/sys/fd.js';
import { seccomp_notif } from '../../src/sys/kernel.gen.js';
import type { ProcessMemory } from '../../src/sys/memory.js';
import { ProcDir } from '../../src/sys/proc-dir.js';
import { Notification, receive } from '../../src/sys/seccomp.js';
import { getFd, openProcess, openThread } from '../../src/sys/task.js';
import { uprobeType } from '../../src/sys/uprobe.js';
import { type Guest, guestPath, leavesNothingBehind, runDir, skipReason, start } from '../support/host.js';

const ENTRY_POINT = 24;

/** The offset at which a program begins. */
function entryOf(file: string): number {
  return Number(readFileSync(file).readBigUInt64LE(ENTRY_POINT));
}

/** Opens a uprobe for the task that has the number now, if `pidfd` says that it is still its own. */
async function openUprobe(pid: number, pidfd: Fd): Promise<number> {
  const paths = new PathResolver();
  using self = new ProcDir('self');
  const file = guestPath('reused');
  const { result } = await paths.openUprobe(new Namespaces().init, {
    directory: self.number,
    thread: -1,
    path: Buffer.from(file),
    pathFd: undefined,
    capabilities: 0n,
    probe: { offset: entryOf(file), semaphore: 0, isReturn: false },
    type: uprobeType(),
    isDisabled: true,
    pid,
    pidfd: pidfd.number,
    mayKill: false,
    cpu: -1,
  });
  paths.close();
  new Fd(result).close();
  return result;
}

for (const [thread, by] of [
  ['first', 'system calls'],
  ['second', 'system calls'],
  ['first', 'the eye'],
  ['second', 'the eye'],
] as const) {
  const what = `the number of a caller, its process's ${thread} thread, known by ${by}, is given to another process`;
  describe(what, { skip: skipReason }, () => {
    leavesNothingBehind(() => {
      caller.close();
      listener.close();
      eye?.close();
      memories.close();
      threads.close();
      tasks.close();
      recorder.remove();
      rmSync(runDir ?? '', { recursive: true, force: true });
    });
    const notification = new Notification(Buffer.alloc(seccomp_notif.sizeof));
    let recorder: Recorder;
    let tasks: TaskStates;
    let guest: Guest;
    let listener: Fd;
    let caller: Caller;
    let eye: Eye | undefined;
    const memories = new KeptFds<ProcessMemory>();
    const threads = new KeptFds();
    let secret = 0;

    before(async () => {
      recorder = Recorder.install();
      tasks = new TaskStates(recorder);
      eye = by === 'the eye' ? Eye.open(recorder) : undefined;
      guest = await start([guestPath('reused'), ...(thread === 'first' ? [] : ['thread'])]);
      const [, pid, fd, address] = /^call (\d+) (\d+) (\d+)$/m.exec(guest.output()) ?? assert.fail(guest.output());
      secret = Number(address);
      using child = openProcess(Number(pid));
      listener = getFd(child, Number(fd)).checked('pidfd_getfd', 'cannot take the listener');
      assert.equal(receive(listener.number, notification), 0);
      caller = new Caller(notification, listener.number, tasks, { eye, memories, threads }, 'guest');
      caller.identify({ memory: true, rights: true }, true);
      assert.equal(caller.task.read()?.ns ?? 0, 0);
      assert.notEqual(caller.directory.status(), '');
      // From here on its pidfd is kept, where the kernel has those of threads.
      using own = caller.takeFd(0);
      assert.equal(own.isOpen, true);
      assert.equal(caller.thread.isOpen, true);
      assert.deepEqual(await guest.ask('kill', 'end'), []);
    });

    const isIntact = async (): Promise<void> => assert.deepEqual(await guest.ask('ask', 'end'), ['intact']);

    test('it is not put into a namespace', () => {
      assert.equal(caller.task.write({ ns: 5, next: 6 }), -E.ESRCH);
      using other = tasks.open(notification.tid);
      assert.equal(other.read()?.ns ?? 0, 0);
    });

    test('its memory is not written', async () => {
      caller.write(secret, Buffer.from('changed'), 8);
      await isIntact();
    });

    test('its memory is not read', () => {
      assert.throws(() => caller.read(secret, Buffer.alloc(8), 8), CallerGone);
    });

    test('its descriptors are not copied', () => {
      using again = new Caller(notification, listener.number, tasks, { eye, memories, threads }, 'guest');
      assert.throws(() => again.identify({ object: 0 }, false, 0), CallerGone);
      assert.throws(() => again.takeFd(0), CallerGone);
      using copy = caller.takeFd(0);
      assert.equal(copy.isOpen, false);
    });

    test("its ids and namespaces are not taken for the caller's", () => {
      assert.equal(caller.directory.status(), '');
      assert.equal(caller.directory.namespaceInode('user'), 0);
      assert.throws(() => caller.identify({ rights: true }, false), CallerGone);
      // Not even where the caller is known from an earlier call, and no check is made.
      assert.throws(() => caller.identify({ rights: true, onlyAnswers: true }, false, -1, true), CallerGone);
    });

    test('its memory gets no breakpoint', async () => {
      assert.equal(await openUprobe(notification.tid, caller.thread), -E.ESRCH);
      using other = openThread(notification.tid, () => notification.tid);
      assert.ok((await openUprobe(notification.tid, other)) >= 0);
    });

    test('it is not killed in place of the caller', async () => {
      assert.equal(killCaller(notification, listener.number), false);
      await isIntact();
    });
  });
}
