/** OCI bundles (config.json) for runc and crun, without an engine above them. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { command } from './command.js';
import { type Container, type Engine, initCommand, type StartOptions, usualCapabilities } from './engine.js';
import { makePins, note, rootDir, workDir } from './machine.js';
import { pinMount } from './root-file-system.js';

function config({ script, profile, annotations, mounts, ...options }: StartOptions, pins: string): object {
  const capabilities = (options.capabilities ?? usualCapabilities).map((name) => `CAP_${name.toUpperCase()}`);
  const all = { bounding: capabilities, effective: capabilities, permitted: capabilities };
  return {
    ociVersion: '1.0.2',
    process: { user: { uid: 0, gid: 0 }, args: initCommand(script), env: ['PATH=/bin'], cwd: '/', capabilities: all },
    root: { path: rootDir, readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/sys', type: 'none', source: '/sys', options: ['rbind', 'ro'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev'] },
      { destination: pinMount, type: 'none', source: pins, options: ['bind', 'rw'] },
      ...Object.entries(mounts ?? {}).map(([destination, source]) => {
        return { destination, type: 'none', source, options: ['rbind', 'ro'] };
      }),
    ],
    annotations: annotations ?? {},
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })),
      ...(profile === undefined ? {} : { seccomp: JSON.parse(readFileSync(profile, 'utf8')) }),
    },
  };
}

/** @param prefix the runtime with its global options */
class BundleEngine implements Engine {
  readonly name: string;
  readonly #prefix: readonly string[];

  constructor(name: string, prefix: readonly string[]) {
    this.name = name;
    this.#prefix = prefix;
  }

  async open(): Promise<void> {}
  async close(): Promise<void> {}

  async start(options: StartOptions): Promise<Container> {
    const id = `bpfns-${process.pid}-${options.label}`;
    const bundle = `${workDir}/${id}`;
    const pins = makePins(options.label);
    mkdirSync(bundle);
    writeFileSync(`${bundle}/config.json`, JSON.stringify(config(options, pins)));
    const log = `${bundle}/log`;
    const remove = async (): Promise<void> => {
      await command([...this.#prefix, 'delete', '--force', id]);
      rmSync(bundle, { recursive: true });
      rmSync(pins, { recursive: true });
    };
    const words = [...this.#prefix, '--log', log, 'run', '--detach', '--bundle', bundle, id];
    const { status } = await command(words, { detached: true });
    if (status !== 0) {
      const why = readFileSync(log, 'utf8');
      await remove();
      throw new Error(`${this.name} run: exit status ${status}\n${why}`);
    }
    return { id: note(id), pins, remove, exec: (guest) => command([...this.#prefix, 'exec', id, ...guest]) };
  }
}

export const runc: Engine = new BundleEngine('runc', ['runc', '--root', `${workDir}/runc`]);

/**
 * crun refuses a hybrid cgroup layout, so it gets a mount namespace with the unified layout. Where
 * the machine has that already, a second mount would hide what is mounted below.
 */
const isPure = existsSync('/sys/fs/cgroup/cgroup.controllers');
const withCgroup2 = ['unshare', '--mount', 'sh', '-c', 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"', 'sh'];
const crunCommand = [...(isPure ? [] : withCgroup2), 'crun', '--root', `${workDir}/crun`];
export const crun: Engine = new BundleEngine('crun', crunCommand);

/** For a crun without listenerPath: an annotation names the socket. */
class CrunByAnnotation extends BundleEngine {
  override start(options: StartOptions): Promise<Container> {
    if (options.profile === undefined) return super.start(options);
    const { listenerPath, ...rest } = JSON.parse(readFileSync(options.profile, 'utf8')) as { listenerPath: string };
    const profile = options.profile.replace('.json', '-without-path.json');
    writeFileSync(profile, JSON.stringify(rest));
    return super.start({ ...options, profile, annotations: { 'run.oci.seccomp.receiver': listenerPath } });
  }
}

export const crunByAnnotation: Engine = new CrunByAnnotation('crun by annotation', crunCommand);
