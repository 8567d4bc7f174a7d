/** What kustomize makes of the base and the overlays: that of Debian 13's kubectl, as Debian 12's is too old. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { tarOf } from '../tools/debian-tar.js';
import { root, run, skipReason } from './support/host.js';

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly volumeMounts?: ReadonlyArray<{ readonly name: string }>;
}
interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes: ReadonlyArray<{ readonly name: string; readonly configMap?: { readonly name: string } }>;
}
interface Document {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

const containersOf = ({ containers, initContainers = [] }: PodSpec): Container[] => [...initContainers, ...containers];
const podsOf = (documents: readonly Document[]): PodSpec[] =>
  documents.flatMap(({ spec }) => (spec?.template ? [spec.template.spec] : []));

/** What each overlay is for, in the words of the result. */
const purposes: Readonly<Record<string, RegExp>> = {
  metrics: /kind: ServiceMonitor/,
  'own-profile': /- \/base\/base\.json/,
  'share-pod': /- share=pod/,
  'tracing-own': /name: profile-own/,
};

describe('kubectl kustomize', { skip: skipReason }, () => {
  const machine = mkdtempSync(`${tmpdir()}/bpfns-kubectl-`);
  let base: readonly Document[];
  before(() => {
    const tar = tarOf('trixie', ['base-files', 'kubernetes-client'], 'extract');
    assert.equal(run(['tar', '-C', machine, '-xf', tar], { timeoutSeconds: 60 }).status, 0);
    cpSync(`${root}packaging/kubernetes`, `${machine}/manifests`, { recursive: true });
    base = documents(build('base'));
  });
  after(() => rmSync(machine, { recursive: true }));

  /** @returns the manifests for a cluster */
  function build(directory: string): string {
    const { status, stdout, stderr } = run(['chroot', machine, 'kubectl', 'kustomize', `/manifests/${directory}`]);
    assert.deepEqual([status, stderr], [0, '']);
    return stdout;
  }
  const documents = (text: string): Document[] => parseAllDocuments(text).map((each) => each.toJS() as Document);

  test('builds the base', () => {
    assert.deepEqual(base.map(({ kind }) => kind).sort(), ['DaemonSet', 'DaemonSet', 'Namespace']);
  });

  for (const overlay of readdirSync(`${root}packaging/kubernetes/overlays`)) {
    test(`adds to the base what ${overlay} is for, and takes nothing away`, () => {
      const text = build(`overlays/${overlay}`);
      assert.match(text, purposes[overlay] ?? /never/);
      const pods = podsOf(documents(text));
      const mounts = ({ name, volumeMounts = [] }: Container): string[] =>
        volumeMounts.map((mount) => `${name} ${mount.name}`);
      const all = (specs: readonly PodSpec[]): string[] => specs.flatMap(containersOf).flatMap(mounts);
      const lost = all(podsOf(base)).filter((each) => !all(pods).includes(each));
      assert.deepEqual(lost, []);
      for (const { image, command } of pods.flatMap(containersOf)) assert.ok(image && command);
    });

    test(`has in ${overlay} every volume and ConfigMap that is named`, () => {
      const made = documents(build(`overlays/${overlay}`));
      const maps = made.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name);
      for (const pod of podsOf(made)) {
        const names = pod.volumes.map(({ name }) => name);
        for (const { volumeMounts = [] } of containersOf(pod)) {
          for (const { name } of volumeMounts) assert.ok(names.includes(name), name);
        }
        for (const { configMap } of pod.volumes) assert.ok(!configMap || maps.includes(configMap.name));
      }
    });
  }
});
