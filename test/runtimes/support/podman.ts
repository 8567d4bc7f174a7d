/** podman, with separate storage. */
import { rmSync } from 'node:fs';
import { command, mustRun } from './command.js';
import { type Container, type Engine, initCommand, type StartOptions, usualCapabilities } from './engine.js';
import { imageTar, makePins, note, workDir } from './machine.js';
import { imageName, pinMount } from './root-file-system.js';

export const podmanCommand: readonly string[] = [
  'podman',
  ...['--root', `${workDir}/podman/storage`, '--runroot', `${workDir}/podman/run`, '--tmpdir', `${workDir}/podman/tmp`],
  ...['--storage-driver', 'vfs', '--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
];
/** No higher limits than this process has, as raising them takes CAP_SYS_RESOURCE; no network to set up. */
export const podmanOptions = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024', '--network', 'host'];

class Podman implements Engine {
  readonly name: string;
  readonly #inPod: boolean;
  #pod: string | undefined;

  constructor(name: string, inPod: boolean) {
    this.name = name;
    this.#inPod = inPod;
  }

  async open(): Promise<void> {
    await mustRun([...podmanCommand, 'load', '--quiet', '--input', imageTar]);
    if (this.#inPod) {
      const words = [...podmanCommand, 'pod', 'create', '--infra=false', '--share=', `bpfns-pod-${process.pid}`];
      this.#pod = (await mustRun(words)).trim();
    }
  }

  async close(): Promise<void> {
    if (this.#pod !== undefined) await mustRun([...podmanCommand, 'pod', 'rm', '--force', '--time', '0', this.#pod]);
    this.#pod = undefined;
    await mustRun([...podmanCommand, 'rmi', '--all', '--force']);
  }

  async start({ label, script, profile, annotations, mounts, ...more }: StartOptions): Promise<Container> {
    const pins = makePins(label);
    const capabilities = ['--cap-drop=all', `--cap-add=${(more.capabilities ?? usualCapabilities).join(',')}`];
    const options = [
      ...Object.entries(mounts ?? {}).map(([destination, source]) => `--volume=${source}:${destination}:ro`),
      ...(profile === undefined ? [] : ['--security-opt', `seccomp=${profile}`]),
      ...Object.entries(annotations ?? {}).flatMap(([key, value]) => ['--annotation', `${key}=${value}`]),
      ...(this.#pod === undefined ? [] : ['--pod', this.#pod]),
      ...['--volume', `${pins}:${pinMount}`],
    ];
    const words = [...podmanCommand, 'run', '--detach', ...podmanOptions, ...capabilities, ...options, imageName];
    const { status, stdout, stderr } = await command([...words, ...initCommand(script)]);
    if (status !== 0) {
      rmSync(pins, { recursive: true });
      throw new Error(`podman run: exit status ${status}\n${stderr}`);
    }
    return container(note(stdout.trim()), pins);
  }
}

function container(id: string, pins: string): Container {
  return {
    id,
    pins,
    exec: (guest) => command([...podmanCommand, 'exec', id, ...guest]),
    async remove() {
      await mustRun([...podmanCommand, 'rm', '--force', '--time', '0', id]);
      rmSync(pins, { recursive: true });
    },
  };
}

export const podmanAlone: Engine = new Podman('podman', false);
export const podmanPod: Engine = new Podman('podman pod', true);
