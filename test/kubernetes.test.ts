/**
 * Checks the Kubernetes manifests against the fields of the published API (v1, apps/v1) that they use,
 * and for what bpfns relies on. A misspelt or misplaced field is a field that is not listed.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import product from '../package.json' with { type: 'json' };
import { loadConfig } from '../src/config/load.js';
import { root, run } from './support/host.js';

type Json = Readonly<Record<string, unknown>>;
/** A type of the API: a scalar, a map of strings, a list of a type, or an object with these fields. */
type Shape = 'string' | 'number' | 'boolean' | 'strings' | readonly [Shape] | { readonly [field: string]: Shape };

const meta: Shape = { name: 'string', namespace: 'string', labels: 'strings', annotations: 'strings' };
const probe: Shape = {
  exec: { command: ['string'] },
  periodSeconds: 'number',
  timeoutSeconds: 'number',
  failureThreshold: 'number',
};
const container: Shape = {
  name: 'string',
  image: 'string',
  command: ['string'],
  args: ['string'],
  env: [{ name: 'string', value: 'string', valueFrom: { fieldRef: { fieldPath: 'string' } } }],
  ports: [{ name: 'string', containerPort: 'number' }],
  securityContext: {
    privileged: 'boolean',
    runAsUser: 'number',
    allowPrivilegeEscalation: 'boolean',
    capabilities: { add: ['string'], drop: ['string'] },
    seccompProfile: { type: 'string', localhostProfile: 'string' },
  },
  startupProbe: probe,
  readinessProbe: probe,
  livenessProbe: probe,
  resources: { requests: 'strings', limits: 'strings' },
  volumeMounts: [
    { name: 'string', mountPath: 'string', readOnly: 'boolean', mountPropagation: 'string', subPathExpr: 'string' },
  ],
};
const podSpec: Shape = {
  hostPID: 'boolean',
  hostNetwork: 'boolean',
  priorityClassName: 'string',
  automountServiceAccountToken: 'boolean',
  nodeSelector: 'strings',
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'string', operator: 'string', values: ['string'] }] }],
      },
    },
  },
  tolerations: [{ operator: 'string', key: 'string', effect: 'string' }],
  initContainers: [container],
  containers: [container],
  volumes: [{ name: 'string', hostPath: { path: 'string', type: 'string' }, configMap: { name: 'string' } }],
};
const kinds: Readonly<Record<string, Shape>> = {
  'v1 Namespace': { apiVersion: 'string', kind: 'string', metadata: meta },
  'v1 Pod': { apiVersion: 'string', kind: 'string', metadata: meta, spec: podSpec },
  'apps/v1 DaemonSet': {
    apiVersion: 'string',
    kind: 'string',
    metadata: meta,
    spec: {
      selector: { matchLabels: 'strings' },
      updateStrategy: { type: 'string', rollingUpdate: { maxSurge: 'number', maxUnavailable: 'number' } },
      template: { metadata: meta, spec: podSpec },
    },
  },
};
/** What the overlays add, and the fields of a kustomization that they use. */
const overlayKinds: typeof kinds = {
  ...kinds,
  'v1 Service': {
    apiVersion: 'string',
    kind: 'string',
    metadata: meta,
    spec: {
      clusterIP: 'string',
      selector: 'strings',
      ports: [{ name: 'string', port: 'number', targetPort: 'string' }],
    },
  },
  'monitoring.coreos.com/v1 ServiceMonitor': {
    apiVersion: 'string',
    kind: 'string',
    metadata: meta,
    spec: { selector: { matchLabels: 'strings' }, endpoints: [{ port: 'string' }] },
  },
  'kustomize.config.k8s.io/v1beta1 Kustomization': {
    apiVersion: 'string',
    kind: 'string',
    resources: ['string'],
    configMapGenerator: [{ name: 'string', namespace: 'string', files: ['string'] }],
    patches: [{ path: 'string' }],
    images: [{ name: 'string', newName: 'string', newTag: 'string' }],
  },
};

/** Values that the API takes, by the last words of a path. */
const oneOf: ReadonlyArray<[path: RegExp, values: readonly string[]]> = [
  [/seccompProfile\.type$/, ['Localhost', 'RuntimeDefault', 'Unconfined']],
  [/mountPropagation$/, ['None', 'HostToContainer', 'Bidirectional']],
  [/hostPath\.type$/, ['', 'DirectoryOrCreate', 'Directory', 'FileOrCreate', 'File', 'Socket']],
  [/updateStrategy\.type$/, ['RollingUpdate', 'OnDelete']],
  [/matchExpressions.*operator$/, ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']],
  [/tolerations.*operator$/, ['Exists', 'Equal']],
];

/** The problems of a value, one line each. */
function problems(value: unknown, shape: Shape, path: string): string[] {
  if (shape === 'strings')
    return isObject(value)
      ? Object.entries(value).flatMap(([k, v]) => problems(v, 'string', `${path}.${k}`))
      : [`${path}: no map`];
  if (typeof shape === 'string') {
    const allowed = oneOf.find(([pattern]) => pattern.test(path))?.[1];
    if (typeof value !== shape) return [`${path}: no ${shape}`];
    return allowed && !allowed.includes(String(value)) ? [`${path}: not ${String(value)}`] : [];
  }
  if (isList(shape))
    return Array.isArray(value)
      ? value.flatMap((each, i) => problems(each, shape[0], `${path}[${i}]`))
      : [`${path}: no list`];
  if (!isObject(value)) return [`${path}: no object`];
  return Object.entries(value).flatMap(([key, each]) => {
    const field = shape[key];
    return field === undefined ? [`${path}.${key}: no such field`] : problems(each, field, `${path}.${key}`);
  });
}

function isList(shape: Exclude<Shape, string>): shape is readonly [Shape] {
  return Array.isArray(shape);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The documents of a manifest. */
function manifest(name: string): Json[] {
  const text = readFileSync(`${root}packaging/kubernetes/${name}`, 'utf8');
  return parseAllDocuments(text).map((document) => {
    assert.deepEqual([...document.errors, ...document.warnings], []);
    return document.toJS() as Json;
  });
}

/** The value at a path: `spec.containers.0.name`. */
function at(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((each, key) => (each as Json | undefined)?.[key], value);
}

const kindOf = (document: Json): string => `${String(document.apiVersion)} ${String(document.kind)}`;

const names = [
  'base/namespace.yaml',
  'base/daemonset.yaml',
  'base/keeper.yaml',
  'overlays/tracing-own/profile.yaml',
  'pod.yaml',
  'tracing-pod.yaml',
];
for (const name of names) {
  describe(name, () => {
    for (const document of manifest(name)) {
      test(`${kindOf(document)} has only fields of the API, with values of their types`, () => {
        const shape = kinds[kindOf(document)];
        assert.ok(shape);
        assert.deepEqual(problems(document, shape, ''), []);
      });
    }
  });
}

describe('the pod that traces', () => {
  const spec = at(manifest('tracing-pod.yaml')[0], 'spec');
  const overlay = at(manifest('overlays/tracing-own/profile.yaml')[0], 'spec.template.spec.initContainers.0.command');

  test('has CAP_BPF alone, and the profile that the overlay writes', () => {
    assert.deepEqual(at(spec, 'containers.0.securityContext.capabilities'), { drop: ['ALL'], add: ['BPF'] });
    const profile = String(at(spec, 'containers.0.securityContext.seccompProfile.localhostProfile'));
    assert.deepEqual((overlay as string[]).slice(-6), [
      '--tracing',
      'own',
      '--cap-add',
      'bpf',
      '--output',
      `/profiles/${profile}`,
    ]);
  });

  test('mounts the view that the daemon makes', () => {
    const { tracing } = loadConfig(`${root}packaging/kubernetes/overlays/tracing-own/bpfns.toml`);
    assert.ok(tracing.tracefs);
    assert.equal(at(spec, 'volumes.0.hostPath.path'), '/run/bpfns/tracefs');
  });
});

describe('the check itself', () => {
  const cases: ReadonlyArray<[what: string, pod: object, found: string]> = [
    ['a misspelt field', { spec: { hostPid: true } }, '.spec.hostPid: no such field'],
    ['a field in the wrong place', { seccompProfile: {} }, '.seccompProfile: no such field'],
    ['a string for a boolean', { spec: { hostPID: 'yes' } }, '.spec.hostPID: no boolean'],
    ['an object for a list', { spec: { volumes: {} } }, '.spec.volumes: no list'],
    [
      'a value that the API does not know',
      { spec: { tolerations: [{ operator: 'Any' }] } },
      '.spec.tolerations[0].operator: not Any',
    ],
  ];
  for (const [what, pod, found] of cases) {
    test(`finds ${what}`, () => {
      assert.deepEqual(problems(pod, kinds['v1 Pod'] ?? {}, ''), [found]);
    });
  }
});

describe('the DaemonSet', () => {
  const set = manifest('base/daemonset.yaml')[0];
  const spec = at(set, 'spec.template.spec');
  const mounts = (where: string): Json[] => at(spec, `${where}.volumeMounts`) as Json[];
  const hostPath = (volume: unknown): unknown =>
    at(
      (at(spec, 'volumes') as Json[]).find(({ name }) => name === volume),
      'hostPath.path',
    );
  const pathIn = (where: string, host: string): unknown =>
    mounts(where).find(({ name }) => hostPath(name) === host)?.mountPath;

  test('selects its own pods', () => {
    assert.deepEqual(at(set, 'spec.selector.matchLabels'), at(set, 'spec.template.metadata.labels'));
  });

  test('every mount has a volume', () => {
    for (const { name } of [...mounts('containers.0'), ...mounts('initContainers.0')]) assert.ok(hostPath(name));
  });

  test("sees the node's processes", () => {
    assert.equal(at(spec, 'hostPID'), true);
  });

  test('serves the socket that the profile names, at the same path on the node', () => {
    const [, , , listener] = at(spec, 'initContainers.0.command') as string[];
    assert.equal(listener, '/run/bpfns/seccomp.sock');
    assert.equal(pathIn('containers.0', '/run/bpfns'), '/run/bpfns');
  });

  test("writes the profile where the sample pod's kubelet finds it", () => {
    const command = at(spec, 'initContainers.0.command') as string[];
    const directory = pathIn('initContainers.0', '/var/lib/kubelet/seccomp');
    const wanted = at(manifest('pod.yaml')[0], 'spec.containers.0.securityContext.seccompProfile.localhostProfile');
    assert.equal(command.at(-1), `${String(directory)}/${String(wanted)}`);
  });

  test('lets the node see the bpffs that the daemon mounts', () => {
    const mount = mounts('containers.0').find(({ name }) => hostPath(name) === '/run/bpfns');
    assert.equal(mount?.mountPropagation, 'Bidirectional');
    assert.equal(at(spec, 'containers.0.securityContext.privileged'), true, 'which only a privileged container may');
  });
});

describe('the keeper', () => {
  const [set] = manifest('base/keeper.yaml');

  test('is replaced by hand only, sees the pids of the daemon, and has its run directory', () => {
    assert.equal(at(set, 'spec.updateStrategy.type'), 'OnDelete');
    assert.equal(at(set, 'spec.template.spec.hostPID'), true);
    assert.equal(at(set, 'spec.template.spec.volumes.0.hostPath.path'), '/run/bpfns');
  });
});

describe('the kustomization', () => {
  test('names every manifest of the base, and the image of this version', () => {
    const [base] = manifest('base/kustomization.yaml');
    assert.deepEqual(
      new Set(at(base, 'resources') as string[]),
      new Set(readdirSync(`${root}packaging/kubernetes/base`).filter((file) => file !== 'kustomization.yaml')),
    );
    assert.equal(at(base, 'images.0.newTag'), product.version);
  });
});

for (const overlay of readdirSync(`${root}packaging/kubernetes/overlays`)) {
  describe(`the overlay ${overlay}`, () => {
    const directory = `overlays/${overlay}`;
    const [kustomization] = manifest(`${directory}/kustomization.yaml`);
    const list = (path: string): unknown[] => (at(kustomization, path) as unknown[] | undefined) ?? [];
    const patches = list('patches').flatMap((patch) => manifest(`${directory}/${String(at(patch, 'path'))}`));
    const resources = list('resources').filter((name) => String(name).endsWith('.yaml'));

    test('has only fields of the API, with values of their types', () => {
      const documents = [
        kustomization,
        ...patches,
        ...resources.flatMap((name) => manifest(`${directory}/${String(name)}`)),
      ];
      for (const document of documents) {
        assert.ok(document);
        assert.deepEqual(problems(document, overlayKinds[kindOf(document)] ?? {}, kindOf(document)), []);
      }
    });

    test('names files that are there, and uses all that are', () => {
      const generated = list('configMapGenerator').flatMap((each) => at(each, 'files') as string[]);
      const patched = list('patches').map((each) => at(each, 'path'));
      assert.deepEqual(
        new Set(['kustomization.yaml', ...resources, ...generated, ...patched]),
        new Set(readdirSync(`${root}packaging/kubernetes/${directory}`)),
      );
      assert.ok(
        existsSync(`${root}packaging/kubernetes/${directory}/${String(list('resources')[0])}/kustomization.yaml`),
      );
    });

    test('changes a container of the base, and mounts volumes that it names', () => {
      for (const patch of patches) {
        const base = ['daemonset', 'keeper']
          .flatMap((name) => manifest(`base/${name}.yaml`))
          .find((each) => kindOf(each) === kindOf(patch) && at(each, 'metadata.name') === at(patch, 'metadata.name'));
        assert.ok(base, 'a patch of nothing');
        const named = (document: unknown, where: string): Json[] =>
          (at(document, `spec.template.spec.${where}`) as Json[] | undefined) ?? [];
        const volumes = [...named(base, 'volumes'), ...named(patch, 'volumes')].map(({ name }) => name);
        const maps = list('configMapGenerator').map((each) => at(each, 'name'));
        for (const where of ['containers', 'initContainers']) {
          for (const container of named(patch, where)) {
            // kustomize adds one of another name, which then has to be whole.
            const isWhole = container.image !== undefined && container.command !== undefined;
            assert.ok(isWhole || named(base, where).some(({ name }) => name === container.name));
            for (const { name } of (container.volumeMounts as Json[] | undefined) ?? [])
              assert.ok(volumes.includes(name));
          }
        }
        for (const volume of named(patch, 'volumes')) assert.ok(maps.includes(at(volume, 'configMap.name')));
      }
    });
  });
}

describe('the sample pod', () => {
  const context = at(manifest('pod.yaml')[0], 'spec.containers.0.securityContext');

  test('has the capabilities for BPF and no others', () => {
    assert.deepEqual(at(context, 'capabilities'), { drop: ['ALL'], add: ['BPF', 'PERFMON', 'NET_ADMIN'] });
  });

  test('is not privileged: that would have no filter', () => {
    assert.equal(at(context, 'privileged'), false);
  });
});

describe('kubectl bpfns', () => {
  const stubs = mkdtempSync(`${tmpdir()}/bpfns-kubectl-`);
  process.on('exit', () => rmSync(stubs, { recursive: true }));
  // What the plugin asks of kubectl, answered for two nodes; the pods' bpfns is this one.
  writeFileSync(
    `${stubs}/kubectl`,
    `#!/bin/sh
    [ "$1 $2" = "-n bpfns" ] || exit 9
    case "$3 $4" in
    'get pods') printf 'node-a bpfns-1\\nnode-b bpfns-2\\n' ;;
    'exec bpfns-1' | 'exec bpfns-2') pod=$4; shift 6; [ "$1 $2" = '-- bpfns' ] && shift 2
      [ "$pod $*" != 'bpfns-2 who map 1' ] || { echo 'no such object' >&2; exit 1; }
      exec ${root}bin/bpfns "$@" ;;
    *) exit 9 ;;
    esac
    `,
    { mode: 0o755 },
  );
  const plugin = (...args: string[]): ReturnType<typeof run> =>
    run([`${root}packaging/kubernetes/kubectl-bpfns`, ...args], {
      env: { PATH: `${stubs}:${process.env.PATH}`, BPFNS_RUN_DIR: '/nonexistent' },
    });

  test('asks every node, and says which one answered', () => {
    const { status, stdout, stderr } = plugin('ls');
    assert.equal(status, 0, stderr);
    for (const node of ['node-a', 'node-b']) assert.match(stdout, new RegExp(`^${node} .* init`, 'm'));
  });

  test('asks one node alone', () => {
    assert.doesNotMatch(plugin('--node', 'node-b', 'ls').stdout, /node-a/);
  });

  test('fails if a node does, and says so', () => {
    const { status, stderr } = plugin('who', 'map', '1');
    assert.equal(status, 1);
    assert.match(stderr, /^node-b {2}no such object$/m);
  });

  test('refuses what is not a question', () => {
    assert.equal(plugin('run', 'true').status, 2);
  });
});
