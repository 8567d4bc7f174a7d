/** A systemd for the tests, which runs the packaged unit: a user manager, as root. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { bpfnsPath, root, run, runDir, until } from '../../support/host.js';

const cgroupRoot = '/sys/fs/cgroup';
/** systemd checks here whether it booted the system, and manages nothing where it did not. */
const bootedMark = '/run/systemd/system';

export class ServiceManager {
  readonly #directory: string;
  readonly #cgroup = `bpfns-test-${process.pid}`;
  readonly #env: NodeJS.ProcessEnv;
  readonly #madeMark: boolean;
  /** Where {@link hangNext} has been called, it stops before it has done anything. */
  readonly #program: string;
  readonly #hang: string;
  #pid = 0;
  #log = '';

  /** @param directory for its files; {@link close} removes it */
  constructor(directory: string) {
    this.#directory = directory;
    this.#program = `${directory}/bpfns`;
    this.#hang = `${directory}/hang`;
    this.#env = { ...process.env, XDG_RUNTIME_DIR: `${directory}/run`, SYSTEMD_UNIT_PATH: `${directory}/units` };
    for (const each of ['run', 'units/bpfns.service.d']) mkdirSync(`${directory}/${each}`, { recursive: true });
    for (const target of ['basic', 'shutdown']) this.#write(`${target}.target`, `[Unit]\nDescription=${target}\n`);
    const unit = readFileSync(`${root}packaging/systemd/bpfns.service`, 'utf8');
    this.#write('bpfns.service', unit.replace('/usr/bin/bpfns', this.#program));
    const stop = `rm ${this.#hang} 2>/dev/null && kill -STOP $$`;
    writeFileSync(this.#program, `#!/bin/sh\n${stop}\nexec ${bpfnsPath} "$@"\n`, { mode: 0o755 });
    this.#madeMark = !existsSync(bootedMark);
    if (this.#madeMark) mkdirSync(bootedMark, { recursive: true });
  }

  /** Starts systemd, and the service with `settings` in addition to the unit's. */
  async start(settings: Readonly<Record<string, string>>): Promise<void> {
    const lines = Object.entries({ Environment: `BPFNS_RUN_DIR=${runDir}`, ...settings });
    this.#write('bpfns.service.d/test.conf', `[Service]\n${lines.map((line) => line.join('=')).join('\n')}\n`);
    // In a separate cgroup, as systemd treats all processes of its cgroup as its own.
    const script = `for c in ${cgroupRoot} ${cgroupRoot}/*; do if [ -e $c/cgroup.procs ] && mkdir $c/${this.#cgroup} 2>/dev/null; then
      for i in cpuset.cpus cpuset.mems; do [ ! -e $c/$i ] || cat $c/$i >$c/${this.#cgroup}/$i; done
      echo $$ >$c/${this.#cgroup}/cgroup.procs; fi; done
      exec /lib/systemd/systemd --user --unit=basic.target --log-target=console`;
    const manager = spawn('timeout', ['-k', '5', '900', 'sh', '-c', script], {
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#pid = manager.pid ?? 0;
    manager.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
    await until(() => this.control('is-active', 'basic.target') === 'active', 'systemd has not started');
    this.control('start', 'bpfns.service');
  }

  /** The output of `systemctl`. */
  control(...args: string[]): string {
    return run(['systemctl', '--user', '--no-pager', ...args], { env: this.#env }).stdout.trim();
  }

  /** The next start of the service hangs before it is ready. */
  hangNext(): void {
    writeFileSync(this.#hang, '');
  }

  /** A property of the service. */
  show(property: string): string {
    return this.control('show', '--value', '--property', property, 'bpfns.service');
  }

  /** The output of systemd and the service. */
  log(): string {
    return this.#log;
  }

  /** Stops the service and the manager, and removes their files. */
  async close(): Promise<void> {
    this.control('stop', 'bpfns.service');
    this.control('exit', '--force');
    await until(() => !existsSync(`/proc/${this.#pid}`), 'systemd has not ended');
    for (const each of readdirSync(cgroupRoot)) removeCgroups(`${cgroupRoot}/${each}/${this.#cgroup}`);
    removeCgroups(`${cgroupRoot}/${this.#cgroup}`);
    if (this.#madeMark) rmdirSync(bootedMark);
    rmSync(this.#directory, { recursive: true });
  }

  #write(name: string, text: string): void {
    writeFileSync(`${this.#directory}/units/${name}`, text);
  }
}

function removeCgroups(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroups(`${path}/${entry.name}`);
  }
  rmdirSync(path);
}
