/**
 * Mounts a bpffs with delegation into a container that has a user namespace of its own. The kernel
 * has the context made by a process of that user namespace, and configured by somebody privileged;
 * the mount takes rights over the container's mounts alone. A helper with no more rights than the
 * container's root does the first and the last step (launch/bpffs.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import type { Services } from '../calls/services.js';
import { ownProgram } from '../control/own-program.js';
import type { Delegation } from '../model/delegation.js';
import { userNsOfContext } from '../recorder/fs-context.js';
import type { Recorder } from '../recorder/recorder.js';
import { E, Refusal } from '../sys/errno.js';
import { Fd } from '../sys/fd.js';
import { getForeignFd } from '../sys/foreign-fd.js';
import { O_CLOEXEC, O_RDONLY } from '../sys/libc.js';
import type { ProcDir } from '../sys/proc-dir.js';
import { openProcess, sendSignal } from '../sys/task.js';
import { makeFileSystem } from './delegating.js';

const { SIGCONT, SIGSTOP } = constants.signals;
/** The container waits for the helper for so long at most, in ms. */
const PATIENCE = 10_000;

/**
 * For the first process of a container, if that is in a user namespace: others need no token.
 * @param directory of the process, opened before
 */
export function bpffsFor(
  pid: number,
  directory: ProcDir,
  delegation: Delegation | undefined,
  { own, mirror }: Services,
): ContainerBpffs | undefined {
  if (!delegation) return undefined;
  using pidfd = openProcess(pid);
  // Read after that: the process of the directory lives, so the pidfd is its own.
  const userNs = directory.namespaceInode('user');
  if (!pidfd.isOpen || userNs === 0 || userNs === own.userNs) return undefined;
  return new ContainerBpffs(new Fd(pidfd.release()), directory, delegation, mirror.recorder);
}

/** The bpffs of a container. Its first process is stopped until it is there, or until {@link close}. */
class ContainerBpffs {
  readonly #pidfd: Fd;
  readonly #userNs: Fd;
  readonly #mounts: Fd;
  readonly #delegation: Delegation;
  readonly #recorder: Recorder;

  /** @param pidfd is taken over @param directory of the same process */
  constructor(pidfd: Fd, directory: ProcDir, delegation: Delegation, recorder: Recorder) {
    this.#delegation = delegation;
    this.#recorder = recorder;
    this.#pidfd = pidfd;
    // At once: its program is to find the bpffs.
    sendSignal(pidfd, SIGSTOP);
    this.#userNs = directory.open('ns/user', O_RDONLY | O_CLOEXEC);
    this.#mounts = directory.open('ns/mnt', O_RDONLY | O_CLOEXEC);
  }

  /**
   * Mounts it, and closes this. If the agent dies, the helper lets the process go on.
   * @param onProblem gets the reason if there is none
   */
  async mount(onProblem: (reason: string) => void): Promise<void> {
    try {
      await this.#mount();
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error));
    } finally {
      this.close();
    }
  }

  async #mount(): Promise<void> {
    const namespaces = [this.#userNs, this.#mounts];
    for (const each of namespaces) each.checked('open', "cannot open the container's namespaces");
    const fds = [...namespaces, this.#pidfd].map(({ number }) => number);
    const [program, words] = ownProgram('container-bpffs');
    const helper = spawn('nsenter', ['--user=/proc/self/fd/3', '--', program, ...words], {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'pipe', ...fds],
    });
    const timer = setTimeout(() => helper.kill('SIGKILL'), PATIENCE);
    try {
      await this.#assist(helper, fstatSync(this.#userNs.number).ino);
    } finally {
      clearTimeout(timer);
      helper.kill('SIGKILL');
    }
  }

  async #assist(helper: ChildProcess, userNs: number): Promise<void> {
    const problem = textOf(helper.stderr);
    const ended = new Promise<number | null>((resolve, reject) => {
      helper.on('close', resolve);
      helper.on('error', reject);
    });
    // A helper that has ended reads no more.
    helper.stdin?.on('error', () => undefined);
    const context = await Promise.race([firstLine(helper.stdout), ended.then(() => undefined)]);
    if (context !== undefined) this.#configure(helper, Number(context), userNs);
    helper.stdin?.end('made\n');
    if ((await ended) !== 0) throw new Refusal(E.EIO, 'mount', `no bpffs: ${(await problem).trim() || 'no answer'}`);
  }

  #configure(helper: ChildProcess, number: number, userNs: number): void {
    // Its pid may be another's once its exit was seen; until then it is its own.
    if (helper.exitCode !== null || helper.signalCode !== null) return;
    using process = openProcess(helper.pid ?? 0);
    using context = getForeignFd(process, number, `user namespace ${userNs}`).checked(
      'pidfd_getfd',
      "cannot take the helper's context",
    );
    if (userNsOfContext(context, this.#recorder) !== userNs) {
      throw new Refusal(E.EPERM, 'mount', 'the context of its bpffs is of another user namespace');
    }
    makeFileSystem(context, this.#delegation);
  }

  close(): void {
    sendSignal(this.#pidfd, SIGCONT);
    for (const each of [this.#pidfd, this.#userNs, this.#mounts]) each.close();
  }
}

/** The first line, or what there is if it ends before. */
function firstLine(stream: Readable | null): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = '';
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(text);
    });
    stream?.on('close', () => resolve(undefined));
  });
}

function textOf(stream: Readable | null): Promise<string> {
  let text = '';
  stream?.setEncoding('utf8').on('data', (part: string) => {
    text += part.slice(0, 1000);
  });
  return new Promise((resolve) => stream?.on('close', () => resolve(text.slice(0, 1000))));
}
