/**
 * Docker of Debian 13, in a root and a mount namespace of its own: that of Debian 12 drops listenerPath from profiles.
 * It runs its own containerd and runc.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { dockerPackages, tarOf } from '../../../tools/debian-tar.js';
import { runDir, until } from '../../support/host.js';
import { command, mustRun } from './command.js';
import { type Container, type Engine, initCommand, type StartOptions, usualCapabilities } from './engine.js';
import { makePins, note, rootDir, workDir } from './machine.js';
import { pinMount } from './root-file-system.js';

const home = `${workDir}/docker`;
const root = `${home}/root`;
const socket = `unix://${home}/docker.sock`;
export const dockerImage = 'bpfns-test';
/** Its cgroup in each hierarchy. */
const cgroup = `bpfns-docker-${process.pid}`;

/**
 * What dockerd runs in. runc calls pivot_root(2), which fails in a chroot. The directories of the tests have the same
 * paths inside as outside.
 */
const script = `
  mount --bind "$0" "$0"
  for each in /proc /sys /dev ${workDir} ${runDir}; do
    [ ! -e $each ] || { mkdir -p "$0$each"; mount --rbind $each "$0$each"; }
  done
  cd "$0"; mkdir old; pivot_root . old; cd /
  busybox umount -l old
  exec "$@"`;

const dockerd = [
  ...['dockerd', '--host', socket, '--pidfile', `${home}/pid`, '--data-root', `${home}/data`],
  ...['--exec-root', `${home}/exec`, '--storage-driver=vfs', '--exec-opt', 'native.cgroupdriver=cgroupfs'],
  ...['--cgroup-parent', `/${cgroup}`, '--bridge=none', '--iptables=false', '--ip-forward=false'],
];

let server: ChildProcess | undefined;

/** A command of the client. */
export function docker(...words: string[]): string[] {
  return ['nsenter', '--mount', '--target', String(server?.pid), 'docker', '--host', socket, ...words];
}

class Docker implements Engine {
  readonly name = 'docker';

  async open(): Promise<void> {
    mkdirSync(root, { recursive: true });
    await mustRun(['tar', '-C', root, '-xf', tarOf('trixie', dockerPackages, 'extract')]);
    copyFileSync('/bin/busybox', `${root}/usr/bin/busybox`);
    const log = openSync(`${home}/log`, 'w');
    const inside = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', script, root];
    server = spawn('setpriv', ['--pdeathsig', 'TERM', ...inside, ...dockerd], {
      // It takes itself for a container, and leaves AppArmor, whose tools are not in the root, alone.
      env: { ...process.env, container: 'bpfns-test' },
      stdio: ['ignore', log, log],
    });
    await until(() => existsSync(`${home}/docker.sock`), 'Docker is not up').catch((error: unknown) => {
      throw new Error(`${String(error)}\n${readFileSync(`${home}/log`, 'utf8')}`);
    });
    await mustRun(['tar', '-C', rootDir, '-cf', `${home}/image.tar`, '.']);
    await mustRun(docker('import', `${home}/image.tar`, dockerImage));
  }

  async close(): Promise<void> {
    server?.kill('SIGTERM');
    await until(() => !existsSync(`/proc/${String(server?.pid)}`), 'Docker has not ended');
    rmSync(home, { recursive: true });
    for (const hierarchy of ['.', ...readdirSync('/sys/fs/cgroup')]) {
      const path = `/sys/fs/cgroup/${hierarchy}/${cgroup}`;
      if (existsSync(path)) rmdirSync(path);
    }
  }

  async start({ label, script, profile, annotations, mounts, ...more }: StartOptions): Promise<Container> {
    const pins = makePins(label);
    const options = [
      ...['--cap-drop=ALL', ...(more.capabilities ?? usualCapabilities).map((name) => `--cap-add=${name}`)],
      ...Object.entries(mounts ?? {}).map(([destination, source]) => `--volume=${source}:${destination}:ro`),
      ...(profile === undefined ? [] : ['--security-opt', `seccomp=${profile}`]),
      ...Object.entries(annotations ?? {}).flatMap(([key, value]) => ['--annotation', `${key}=${value}`]),
      ...['--volume', `${pins}:${pinMount}`, '--network=none'],
    ];
    const { status, stdout, stderr } = await command(
      docker('run', '--detach', ...options, dockerImage, ...initCommand(script)),
    );
    if (status !== 0) {
      rmSync(pins, { recursive: true });
      throw new Error(`docker run: exit status ${status}\n${stderr}`);
    }
    return container(note(stdout.trim()), pins);
  }
}

function container(id: string, pins: string): Container {
  return {
    id,
    pins,
    exec: (guest) => command(docker('exec', id, ...guest)),
    async remove() {
      await mustRun(docker('rm', '--force', id));
      rmSync(pins, { recursive: true });
    },
  };
}

export const dockerAlone: Engine = new Docker();
