/** containerd through the Kubernetes container runtime interface: what a kubelet does. */
import { mkdirSync, rmSync } from 'node:fs';
import { type Client, credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { root } from '../../support/host.js';
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

class Cri implements Engine {
  readonly name = 'containerd, as a kubelet asks it';
  #service: RuntimeService | undefined;

  async open(): Promise<void> {
    await openContainerd();
    await importImage('k8s.io');
    mkdirSync(`${workDir}/pod-logs`, { recursive: true });
    this.#service = connect();
  }

  async close(): Promise<void> {
    this.#service?.close();
    this.#service = undefined;
    await closeContainerd();
  }

  async start({ label, script, profile, annotations }: StartOptions): Promise<Container> {
    const pins = makePins(label);
    const sandbox = {
      metadata: { name: label, uid: `uid-${label}`, namespace: 'default', attempt: 0 },
      log_directory: `${workDir}/pod-logs`,
      annotations: annotations ?? {},
      linux: { security_context: { namespace_options: hostNetwork } },
    };
    const { pod_sandbox_id: pod } = await this.#call<{ pod_sandbox_id: string }>('RunPodSandbox', { config: sandbox });
    note(pod);
    const remove = async (): Promise<void> => {
      await this.#call('StopPodSandbox', { pod_sandbox_id: pod });
      await this.#call('RemovePodSandbox', { pod_sandbox_id: pod });
      rmSync(pins, { recursive: true });
    };
    try {
      const config = containerConfig(initCommand(script), profile, pins);
      const request = { pod_sandbox_id: pod, config, sandbox_config: sandbox };
      const { container_id: id } = await this.#call<{ container_id: string }>('CreateContainer', request);
      await this.#call('StartContainer', { container_id: id });
      return { id: note(id), pins, remove, exec: (guest) => this.#exec(id, guest) };
    } catch (error) {
      await remove();
      throw error;
    }
  }

  async #exec(id: string, guest: readonly string[]): ReturnType<Container['exec']> {
    const request = { container_id: id, cmd: guest, timeout: 20 };
    const reply = await this.#call<{ stdout: Buffer; stderr: Buffer; exit_code: number }>('ExecSync', request);
    return { status: reply.exit_code, stdout: String(reply.stdout), stderr: String(reply.stderr) };
  }

  /** A call of the runtime service. The reply is as the proto file describes it. */
  #call<T>(method: string, request: object): Promise<T> {
    const service = this.#service;
    if (!service) throw new Error('not open');
    return new Promise((resolve, reject) => {
      service[method]?.(request, { deadline: Date.now() + 30_000 }, (error, reply) => {
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(reply as T);
      });
    });
  }
}

function containerConfig(command: readonly string[], profile: string | undefined, pins: string): object {
  const seccomp =
    profile === undefined ? { profile_type: 'RuntimeDefault' } : { profile_type: 'Localhost', localhost_ref: profile };
  return {
    metadata: { name: 'guest', attempt: 0 },
    image: { image: imageName },
    command,
    mounts: [{ container_path: pinMount, host_path: pins, readonly: false }],
    log_path: 'guest.log',
    linux: { security_context: { capabilities, namespace_options: hostNetwork, seccomp } },
  };
}

export const cri: Engine = new Cri();
