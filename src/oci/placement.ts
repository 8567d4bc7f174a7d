/** Which namespace a container goes into: decided by its id, the profile's metadata and its annotations. */
import type { ContainerLabels } from '../model/container.js';
import { nameProblem } from '../model/names.js';
import type { ContainerState } from './state.js';

export interface Placement {
  /** A namespace of that name below `parent` is joined if there is one, else made. */
  readonly name: string;
  readonly parent: string;
  readonly pins: 'own' | 'any';
}

const ANNOTATION = 'bpfns.io/';
const settings = ['name', 'parent', 'pins', 'share', 'annotations'] as const;
type Setting = (typeof settings)[number];

/** Annotations of the engines that name a pod's sandbox. */
const sandboxAnnotations = [
  'io.kubernetes.cri.sandbox-id',
  'io.kubernetes.cri-o.SandboxID',
  'io.podman.annotations.pod-id',
];

/**
 * The metadata is in the profile, which the host's administrator writes; annotations may
 * come from whoever starts the container. So they may ask to share the pod's namespace,
 * and all the rest only if the metadata says `annotations=allow`.
 * @returns what is wrong with them, if something is
 */
export function placementOf(state: ContainerState): Placement | { readonly problem: string } {
  const given = parseMetadata(state.metadata);
  if ('problem' in given) return given;
  const allowed: readonly Setting[] =
    given.settings.get('annotations') === 'allow' ? ['name', 'parent', 'pins', 'share'] : ['share'];
  for (const setting of allowed) {
    const value = state.annotations[ANNOTATION + setting];
    if (value !== undefined) given.settings.set(setting, value);
  }
  const pins = given.settings.get('pins') ?? 'own';
  if (pins !== 'own' && pins !== 'any') return { problem: `pins must be own or any, not '${pins}'` };
  const share = given.settings.get('share') ?? 'none';
  if (share !== 'none' && share !== 'pod') return { problem: `share must be none or pod, not '${share}'` };
  const pod = sandboxAnnotations.map((key) => state.annotations[key]).find((id) => id !== undefined);
  const name = given.settings.get('name') ?? (share === 'pod' && pod ? pod : state.id);
  const problem = nameProblem(name);
  if (problem) return { problem: `a namespace cannot be called '${name}': ${problem}` };
  return { name, parent: given.settings.get('parent') ?? 'init', pins };
}

/** `key=value` pairs with commas between them. */
function parseMetadata(text: string): { readonly settings: Map<Setting, string> } | { readonly problem: string } {
  const found = new Map<Setting, string>();
  for (const part of text.split(',').filter((each) => each.trim() !== '')) {
    const [key = '', value] = part.split('=', 2).map((each) => each.trim());
    const setting = settings.find((name) => name === key);
    if (!setting || value === undefined)
      return { problem: `listenerMetadata: '${part}' is none of ${settings.join(', ')}` };
    found.set(setting, value);
  }
  return { settings: found };
}

/** The longest that Kubernetes allows (RFC 1123 subdomain): annotations may come from anybody. */
const MAX_LABEL = 253;

/** From the annotations of containerd, CRI-O and podman. */
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
