/** Decides which namespace a container goes into, by its id, the profile's metadata and its annotations. */
import type { ContainerLabels } from '../model/container.js';
import { type Delegation, delegationKeys, delegationWords } from '../model/delegation.js';
import { nameProblem } from '../model/names.js';
import { type TracingMode, tracingModes } from '../model/namespaces.js';
import { type ContainerState, OciError } from './state.js';

export interface Placement {
  /** The container joins the namespace of this name below `parent`; it is created if it does not exist. */
  readonly name: string;
  readonly parent: string;
  readonly pins: 'own' | 'any';
  /** Of a new namespace; undefined: as the parent's. */
  readonly tracing: TracingMode | undefined;
  /** What is delegated to a container in a user namespace; undefined: nothing. */
  readonly delegation: Delegation | undefined;
}

const ANNOTATION = 'bpfns.io/';
/** Those of a token are the kernel's own: the mount options of bpffs. Annotations never set them. */
const settings = [
  ...(['name', 'parent', 'pins', 'tracing', 'share', 'annotations'] as const),
  ...delegationKeys.map((key) => `delegate_${key}` as const),
];
type Setting = (typeof settings)[number];

/** Annotations with which engines name the sandbox of a pod. */
const sandboxAnnotations = [
  'io.kubernetes.cri.sandbox-id',
  'io.kubernetes.cri-o.SandboxID',
  'io.podman.annotations.pod-id',
];

/**
 * The host's administrator writes the metadata, which is in the profile. Annotations may come from
 * anybody who starts a container. They may therefore only ask to share the pod's namespace, unless
 * the metadata says `annotations=allow`.
 * @throws OciError
 */
export function placementOf(state: ContainerState): Placement {
  const given = parseMetadata(state.metadata);
  const allowed: readonly Setting[] =
    given.get('annotations') === 'allow' ? ['name', 'parent', 'pins', 'tracing', 'share'] : ['share'];
  for (const setting of allowed) {
    const value = state.annotations[ANNOTATION + setting];
    if (value !== undefined) given.set(setting, value);
  }
  const pins = given.get('pins') ?? 'own';
  if (pins !== 'own' && pins !== 'any') throw new OciError(`pins must be own or any, not '${pins}'`);
  const tracing = tracingModes.find((mode) => mode === given.get('tracing'));
  if (given.has('tracing') && !tracing) {
    throw new OciError(`tracing must be ${tracingModes.join(', ')}, not '${given.get('tracing')}'`);
  }
  const share = given.get('share') ?? 'none';
  if (share !== 'none' && share !== 'pod') throw new OciError(`share must be none or pod, not '${share}'`);
  const pod = sandboxAnnotations.map((key) => state.annotations[key]).find((id) => id !== undefined);
  const name = given.get('name') ?? (share === 'pod' && pod ? pod : state.id);
  const problem = nameProblem(name);
  if (problem) throw new OciError(`a namespace cannot be called '${name}': ${problem}`);
  return { name, parent: given.get('parent') ?? 'init', pins, tracing, delegation: delegationOf(given) };
}

/** @throws OciError */
function delegationOf(given: ReadonlyMap<Setting, string>): Delegation | undefined {
  const pairs = delegationKeys.flatMap((key) => {
    const words = given.get(`delegate_${key}`);
    return words === undefined ? [] : [[key, words] as const];
  });
  const wrong = pairs.find(([, words]) => !delegationWords.test(words));
  if (wrong) throw new OciError(`delegate_${wrong[0]} must be 'any', or names separated by colons, not '${wrong[1]}'`);
  return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
}

/** Parses `key=value` pairs separated by commas. @throws OciError */
function parseMetadata(text: string): Map<Setting, string> {
  const found = new Map<Setting, string>();
  for (const part of text.split(',').filter((each) => each.trim() !== '')) {
    const [key = '', value] = part.split('=', 2).map((each) => each.trim());
    const setting = settings.find((name) => name === key);
    if (!setting || value === undefined) {
      throw new OciError(`listenerMetadata: '${part}' is not one of ${settings.join(', ')}`);
    }
    found.set(setting, value);
  }
  return found;
}

/** The longest name in Kubernetes (RFC 1123 subdomain). Longer ones are cut: annotations may come from anybody. */
const MAX_LABEL = 253;

/** The names in the annotations of containerd, CRI-O and podman. */
export function labelsOf({ id, annotations }: ContainerState): ContainerLabels {
  const first = (...keys: string[]): string | null =>
    keys.map((key) => annotations[key]?.slice(0, MAX_LABEL)).find((text) => text !== undefined) ?? null;
  return {
    id,
    pod: first('io.kubernetes.cri.sandbox-name', 'io.kubernetes.pod.name'),
    podNamespace: first('io.kubernetes.cri.sandbox-namespace', 'io.kubernetes.pod.namespace'),
    container: first('io.kubernetes.cri.container-name', 'io.kubernetes.container.name', 'io.podman.annotations.name'),
  };
}
