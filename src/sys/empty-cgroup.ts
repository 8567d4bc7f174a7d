/** A cgroup without tasks. A perf event of all tasks that is bound to it counts nothing. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { E } from './errno.js';
import { Fd } from './fd.js';
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY, open } from './libc.js';

const NAME = 'bpfns-empty-';

/** It is made when it is first needed, below the cgroup of this process, and removed at the end. */
export class EmptyCgroup {
  #path: string | undefined;
  #fd = new Fd(-E.ENOENT);

  /** Its fd, which stays open until {@link close}; -errno if there is no cgroup v2. */
  open(): number {
    if (this.#path !== undefined && existsSync(this.#path)) return this.#fd.number;
    const parent = ownCgroup();
    if (parent === undefined) return -E.ENOENT;
    this.#fd.close();
    try {
      removeOthers(parent);
      this.#path = `${parent}/${NAME}${process.pid}`;
      mkdirSync(this.#path, { recursive: true });
    } catch {
      return -E.EACCES;
    }
    this.#fd = new Fd(open(this.#path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return this.#fd.number;
  }

  /** Events that are bound to it go on as before. */
  close(): void {
    this.#fd.close();
    if (this.#path !== undefined) remove(this.#path);
    this.#path = undefined;
  }
}

/** Those of agents that crashed. If one is in use all the same, in another PID namespace, its agent makes it again. */
function removeOthers(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (name.startsWith(NAME) && !existsSync(`/proc/${name.slice(NAME.length)}`)) remove(`${parent}/${name}`);
  }
}

function remove(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is gone already.
  }
}

/** The directory of this process's cgroup; undefined without cgroup v2. */
function ownCgroup(): string | undefined {
  const own = /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  const mount = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find((fields) => fields[fields.indexOf('-') + 1] === 'cgroup2');
  const [, , , root = '/', point] = mount ?? [];
  if (own === undefined || point === undefined) return undefined;
  const path = root !== '/' && own.startsWith(root) ? own.slice(root.length) : own;
  return [`${point}${path === '/' ? '' : path}`, point].find((each) => existsSync(each));
}
