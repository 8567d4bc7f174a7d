/** containerd through the Kubernetes container runtime interface, as a kubelet uses it. */
import { mkdirSync, rmSync } from 'node:fs';
import { type Client, credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { root } from '../../support/host.js';
import { limit } from '../../support/slowness.js';
import { closeContainerd, containerdSocket, importImage, openContainerd } from './containerd.js';
import { type Container, type Engine, initCommand, type StartOptions } from './engine.js';
import { makePins, note, workDir } from './machine.js';
import { imageName, pinMount } from './root-file-system.js';

type Method = (
  request: object,
  options: { deadline: number },
  done: (error: ServiceError | null, reply: unknown) => void,
) => void;
type RuntimeService = Client & Readonly<Record<string, Method>>;
type Constructor = new (address: string, credentials: object) => RuntimeService;

function connect(): RuntimeService {
  const definition = loadSync(`${root}test/runtimes/support/cri.proto`, {
    keepCase: true,
    defaults: true,
    longs: Number,
    enums: String,
  });
  const packages = loadPackageDefinition(definition) as unknown as {
    runtime: { v1: { RuntimeService: Constructor } };
  };
  return new packages.runtime.v1.RuntimeService(`unix://${containerdSocket}`, credentials.createInsecure());
}

const hostNetwork = { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' };
const capabilities = { drop_capabilities: ['ALL'], add_capabilities: ['BPF', 'PERFMON', 'NET_ADMIN'] };

interface Pod {
  readonly id: string;
  readonly config: object;
}

class Cri implements Engine {
  readonly name: string;
  readonly #inOnePod: boolean;
  #service: RuntimeService | undefined;
  #sharedPod: Pod | undefined;

  /** @param inOnePod starts all containers in the pod of the first */
  constructor(name: string, inOnePod: boolean) {
    this.name = name;
    this.#inOnePod = inOnePod;
  }

  async open(): Promise<void> {
    await openContainerd();
    await importImage('k8s.io');
    mkdirSync(`${workDir}/pod-logs`, { recursive: true });
    this.#service = connect();
  }

  async close(): Promise<void> {
    if (this.#sharedPod) await this.#removePod(this.#sharedPod.id);
    this.#sharedPod = undefined;
    this.#service?.close();
    this.#service = undefined;
    await closeContainerd();
  }

  async start({ label, script, profile, annotations }: StartOptions): Promise<Container> {
    const pod = this.#sharedPod ?? (await this.#runPod(label, annotations ?? {}));
    if (this.#inOnePod) this.#sharedPod = pod;
    const pins = makePins(label);
    const remove = async (id: string): Promise<void> => {
      await this.#call('RemoveContainer', { container_id: id });
      if (!this.#inOnePod) await this.#removePod(pod.id);
      rmSync(pins, { recursive: true });
    };
    const config = containerConfig(label, initCommand(script), profile, pins);
    const request = { pod_sandbox_id: pod.id, config, sandbox_config: pod.config };
    const { container_id: id } = await this.#call<{ container_id: string }>('CreateContainer', request);
    try {
      await this.#call('StartContainer', { container_id: id });
      return { id: note(id), pins, remove: () => remove(id), exec: (guest) => this.#exec(id, guest) };
    } catch (error) {
      await remove(id);
      throw error;
    }
  }

  async #runPod(label: string, annotations: Readonly<Record<string, string>>): Promise<Pod> {
    const config = {
      metadata: { name: label, uid: `uid-${label}`, namespace: 'default', attempt: 0 },
      log_directory: `${workDir}/pod-logs`,
      annotations,
      linux: { security_context: { namespace_options: hostNetwork } },
    };
    const { pod_sandbox_id: id } = await this.#call<{ pod_sandbox_id: string }>('RunPodSandbox', { config });
    return { id: note(id), config };
  }

  async #removePod(id: string): Promise<void> {
    await this.#call('StopPodSandbox', { pod_sandbox_id: id });
    await this.#call('RemovePodSandbox', { pod_sandbox_id: id });
  }

  async #exec(id: string, guest: readonly string[]): ReturnType<Container['exec']> {
    const request = { container_id: id, cmd: guest, timeout: limit(60) };
    const reply = await this.#call<{ stdout: Buffer; stderr: Buffer; exit_code: number }>('ExecSync', request);
    return { status: reply.exit_code, stdout: String(reply.stdout), stderr: String(reply.stderr) };
  }

  /** A call of the runtime service. The reply is as the proto file describes it. */
  #call<T>(method: string, request: object): Promise<T> {
    const service = this.#service;
    if (!service) throw new Error('not open');
    return new Promise((resolve, reject) => {
      service[method]?.(request, { deadline: Date.now() + limit(120_000) }, (error, reply) => {
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(reply as T);
      });
    });
  }
}

function containerConfig(name: string, command: readonly string[], profile: string | undefined, pins: string): object {
  const seccomp =
    profile === undefined ? { profile_type: 'RuntimeDefault' } : { profile_type: 'Localhost', localhost_ref: profile };
  return {
    metadata: { name, attempt: 0 },
    image: { image: imageName },
    command,
    mounts: [{ container_path: pinMount, host_path: pins, readonly: false }],
    log_path: `${name}.log`,
    linux: { security_context: { capabilities, namespace_options: hostNetwork, seccomp } },
  };
}

export const cri: Engine = new Cri('containerd, as a kubelet asks it', false);
export const criPod: Engine = new Cri('a pod of Kubernetes', true);
