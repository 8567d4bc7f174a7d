/** podman of users without any right on the host. Each has storage of their own, and ids for user namespaces. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type Outcome, run, until } from '../../support/host.js';

/** Where only the commands of the users have these files: newuidmap(1) looks for the user in them. */
const script = `
  for each in passwd subuid subgid; do
    touch /etc/$each
    mount --bind "$0/$each" /etc/$each
  done
  echo ready
  read -r _`;
const SUB_IDS = 65536;

export class RootlessUsers {
  /** Everybody may read what is in it. */
  readonly directory = mkdtempSync('/tmp/bpfns-rootless-');
  readonly #uids: readonly number[];
  readonly #holder: ChildProcess;

  private constructor(uids: readonly number[]) {
    this.#uids = uids;
    chmodSync(this.directory, 0o755);
    const add = (file: string, lines: readonly string[]): void =>
      writeFileSync(`${this.directory}/${file}`, `${lines.join('\n')}\n`);
    const subIds = uids.map((uid, at) => `${uid}:${1_000_000 + at * SUB_IDS}:${SUB_IDS}`);
    add('subuid', subIds);
    add('subgid', subIds);
    const passwd = readFileSync('/etc/passwd', 'utf8').trimEnd();
    add('passwd', [passwd, ...uids.map((uid) => `user${uid}:x:${uid}:${uid}::${this.home(uid)}:/bin/sh`)]);
    for (const uid of uids) {
      mkdirSync(`${this.home(uid)}/run`, { recursive: true, mode: 0o700 });
      for (const path of [this.home(uid), `${this.home(uid)}/run`]) chownSync(path, uid, uid);
    }
    const inside = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-ec', script, this.directory];
    this.#holder = spawn('setpriv', ['--pdeathsig', 'KILL', ...inside], { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  static async make(uids: readonly number[]): Promise<RootlessUsers> {
    const users = new RootlessUsers(uids);
    let said = '';
    users.#holder.stdout?.on('data', (data) => (said += String(data)));
    await until(() => said.includes('ready'), 'there is no mount namespace with the users');
    return users;
  }

  home(uid: number): string {
    return `${this.directory}/${uid}`;
  }

  /** The command that runs podman as that user. crun 1.8 refuses hybrid cgroups, so it runs runc. */
  podman(uid: number, ...words: readonly string[]): string[] {
    const home = this.home(uid);
    return [
      ...['nsenter', '--mount', '--target', String(this.#holder.pid), `--wd=${home}`],
      ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'],
      ...['env', `HOME=${home}`, `XDG_RUNTIME_DIR=${home}/run`, `USER=user${uid}`],
      ...['podman', '--log-level=error', '--root', `${home}/storage`, '--runroot', `${home}/run/podman`],
      ...['--tmpdir', `${home}/run/tmp`, '--storage-driver', 'vfs', '--runtime', 'runc'],
      ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'none', ...words],
    ];
  }

  /** @throws Error if it fails */
  mustRun(uid: number, ...words: readonly string[]): string {
    const { status, stdout, stderr } = run(this.podman(uid, ...words));
    if (status !== 0) throw new Error(`podman ${words.join(' ')}: exit status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  podmanRun(uid: number, ...words: readonly string[]): Outcome {
    return run(this.podman(uid, 'run', ...words));
  }

  /** Ends what podman leaves running for a user, which keeps the user's mounts. */
  async close(): Promise<void> {
    for (const pid of this.#processes()) process.kill(pid, 'SIGKILL');
    await until(() => this.#processes().length === 0, 'processes of the users are left');
    const ended = new Promise((resolve) => this.#holder.once('close', resolve));
    this.#holder.stdin?.end('\n');
    await ended;
    rmSync(this.directory, { recursive: true });
  }

  /** Those of the users' ids, which nobody else on this machine has. Without zombies. */
  #processes(): number[] {
    return readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && this.#isOurs(pid))
      .map(Number);
  }

  #isOurs(pid: string): boolean {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]);
      const isSubId = uid >= 1_000_000 && uid < 1_000_000 + this.#uids.length * SUB_IDS;
      return !/^State:\s+[ZX]/m.test(status) && (isSubId || this.#uids.includes(uid));
    } catch {
      return false;
    }
  }
}
