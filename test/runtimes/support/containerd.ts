/** A containerd for the tests, and its plain client ctr. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { until } from '../../support/host.js';
import { command, mustRun } from './command.js';
import { type Container, type Engine, initCommand, type StartOptions, usualCapabilities } from './engine.js';
import { imageTar, makePins, note, workDir } from './machine.js';
import { imageName, pauseImageName, pinMount } from './root-file-system.js';

const home = `${workDir}/containerd`;
export const containerdSocket = `${home}/containerd.sock`;

const config = `
version = 2
root = "${home}/root"
state = "${home}/state"
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${home}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImageName}"
  disable_apparmor = true
  disable_tcp_service = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      pod_annotations = ["bpfns.io/*"]
`;

let server: ChildProcess | undefined;

/** @throws Error with its log if it does not start */
export async function openContainerd(): Promise<void> {
  mkdirSync(home, { recursive: true });
  writeFileSync(`${home}/config.toml`, config);
  const log = openSync(`${home}/log`, 'w');
  server = spawn('setpriv', ['--pdeathsig', 'TERM', 'containerd', '--config', `${home}/config.toml`], {
    stdio: ['ignore', log, log],
  });
  await until(() => existsSync(containerdSocket), `containerd is not up: ${readFileSync(`${home}/log`, 'utf8')}`);
}

export async function closeContainerd(): Promise<void> {
  const gone = new Promise((resolve) => server?.on('exit', resolve));
  server?.kill('SIGTERM');
  await gone;
  rmSync(home, { recursive: true });
}

/** Each client of containerd has a namespace for its images and containers. CRI's is k8s.io. */
export function ctr(namespace: string): string[] {
  return ['ctr', '--address', containerdSocket, '--namespace', namespace];
}

export async function importImage(namespace: string): Promise<void> {
  const words = [...ctr(namespace), 'image', 'import'];
  // Since 1.7 the server could unpack it too, but only with snapshotters that are configured for that.
  const local = (await mustRun([...words, '--help'])).includes('--local') ? ['--local'] : [];
  await mustRun([...words, ...local, '--snapshotter', 'native', imageTar]);
}

const dropped = [
  ...['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'NET_RAW'],
  ...['SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'],
].map((name) => ['--cap-drop', `CAP_${name}`]);

/**
 * ctr may lose the last output of a process that has ended, so each waits until all of it has been read. Its arguments:
 * what tells that, and the command.
 */
const untilRead = '"$@" </dev/null; status=$?; printf %s "$0"; printf %s "$0" >&2; read -r _; exit $status';
const END = '=== end of output ===';

class Ctr implements Engine {
  readonly name = 'ctr';
  readonly #ctr = ctr('bpfns-test');
  #execs = 0;

  async open(): Promise<void> {
    await openContainerd();
    await importImage('bpfns-test');
  }

  async close(): Promise<void> {
    await closeContainerd();
  }

  async start({ label, script, profile, annotations, mounts, ...more }: StartOptions): Promise<Container> {
    const id = `bpfns-${process.pid}-${label}`;
    const pins = makePins(label);
    const added = (more.capabilities ?? usualCapabilities).map((name) => ['--cap-add', `CAP_${name.toUpperCase()}`]);
    const options = [
      ...['--detach', '--snapshotter', 'native', ...dropped.flat(), ...added.flat()],
      ...Object.entries(mounts ?? {}).flatMap(([dst, src]) => [
        '--mount',
        `type=bind,src=${src},dst=${dst},options=rbind:ro`,
      ]),
      ...['--mount', `type=bind,src=${pins},dst=${pinMount},options=rbind:rw`],
      ...(profile === undefined ? [] : ['--seccomp', '--seccomp-profile', profile]),
      ...Object.entries(annotations ?? {}).flatMap(([key, value]) => ['--annotation', `${key}=${value}`]),
    ];
    const { status, stderr } = await command([...this.#ctr, 'run', ...options, imageName, id, ...initCommand(script)]);
    const remove = async (): Promise<void> => {
      await command([...this.#ctr, 'task', 'delete', '--force', id]);
      await command([...this.#ctr, 'container', 'delete', id]);
      rmSync(pins, { recursive: true });
    };
    if (status !== 0) {
      await remove();
      throw new Error(`ctr run: exit status ${status}\n${stderr}`);
    }
    const exec: Container['exec'] = (guest) => {
      const words = [...this.#ctr, 'task', 'exec', '--exec-id', `exec-${++this.#execs}`, id];
      return command([...words, '/bin/sh', '-c', untilRead, END, ...guest], { end: END });
    };
    return { id: note(id), pins, exec, remove };
  }
}

export const ctrClient: Engine = new Ctr();
