/** Every id in the info structures of Linux 7.3: of which kind it is, or why the guest gets the kernel's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Kind, kinds, nsId } from '../../../model/ids.js';
import * as kernel from '../../../sys/kernel.gen.js';
import { infoShapes } from './shapes.js';

type Fate = Kind | "the kernel's: a type in that BTF" | "the kernel's: a cgroup" | "the kernel's: a task" | 'a count';
type Ids = Readonly<Record<string, Fate>>;
const TYPE = "the kernel's: a type in that BTF";
const CGROUP = "the kernel's: a cgroup";
const TASK = "the kernel's: a task";

/** Also with an array of ids, which is not part of the structure itself. */
const ids: Readonly<Record<Exclude<Kind, 'link'>, Ids>> = {
  map: {
    id: 'map',
    btf_id: 'btf',
    btf_vmlinux_id: 'btf',
    btf_key_type_id: TYPE,
    btf_value_type_id: TYPE,
    btf_vmlinux_value_type_id: TYPE,
  },
  prog: { id: 'prog', btf_id: 'btf', attach_btf_obj_id: 'btf', attach_btf_id: TYPE, nr_map_ids: 'a count' },
  btf: { id: 'btf' },
};
const inAllLinks: Ids = { id: 'link', prog_id: 'prog' };
const inLinks: Readonly<Record<Exclude<keyof typeof kernel.bpf_link_type, 'BPF_LINK_TYPE_UNSPEC'>, Ids>> = {
  BPF_LINK_TYPE_RAW_TRACEPOINT: {},
  // A program's, as no object has these ids; else it may be a BTF's (attachTarget()).
  BPF_LINK_TYPE_TRACING: { tracing_target_obj_id: 'prog', tracing_target_btf_id: TYPE },
  BPF_LINK_TYPE_CGROUP: { cgroup_cgroup_id: CGROUP },
  BPF_LINK_TYPE_ITER: {
    iter_map_map_id: 'map',
    iter_cgroup_cgroup_id: CGROUP,
    iter_task_tid: TASK,
    iter_task_pid: TASK,
  },
  BPF_LINK_TYPE_NETNS: {},
  BPF_LINK_TYPE_XDP: {},
  BPF_LINK_TYPE_PERF_EVENT: {},
  BPF_LINK_TYPE_KPROBE_MULTI: {},
  BPF_LINK_TYPE_STRUCT_OPS: { struct_ops_map_id: 'map' },
  BPF_LINK_TYPE_NETFILTER: {},
  BPF_LINK_TYPE_TCX: {},
  // It is made the caller's: see uprobes.ts.
  BPF_LINK_TYPE_UPROBE_MULTI: { uprobe_multi_pid: TASK },
  BPF_LINK_TYPE_NETKIT: {},
  BPF_LINK_TYPE_SOCKMAP: { sockmap_map_id: 'map' },
  BPF_LINK_TYPE_TRACING_MULTI: { tracing_multi_btf_obj_id: 'btf' },
};
/** Pointers to arrays. */
const arrays = ['map_ids', 'tracing_multi_ids'];

const structures: Readonly<Record<Kind, Readonly<Record<string, number>>>> = {
  map: kernel.bpf_map_info,
  prog: kernel.bpf_prog_info,
  link: kernel.bpf_link_info,
  btf: kernel.bpf_btf_info,
};

/** The kinds of the ids that are rewritten, by their place, where every 32-bit number is an id that no object has. */
function rewritten(kind: Kind, linkType?: number): Record<number, Kind> {
  const info = Buffer.alloc(infoShapes[kind].sizeof);
  for (let at = 0; at < info.length; at += 4) info.writeUInt32LE(0x7fff0000 + at, at);
  if (linkType !== undefined) info.writeUInt32LE(linkType, kernel.bpf_link_info.type);
  const found: Record<number, Kind> = {};
  const translate = (of: Kind, host: number) => {
    found[host - 0x7fff0000] = of;
    return nsId(1);
  };
  infoShapes[kind].translate(info, translate, []);
  return found;
}

function expected(kind: Kind, fates: Ids): Record<number, Kind> {
  const translated = Object.entries(fates).filter((entry): entry is [string, Kind] => kinds.includes(entry[1] as Kind));
  return Object.fromEntries(translated.map(([name, of]) => [structures[kind][name], of]));
}

for (const kind of ['map', 'prog', 'btf'] as const) {
  test(`bpf_${kind}_info: all ids of objects are the namespace's, and nothing else is changed`, () => {
    assert.deepEqual(rewritten(kind), expected(kind, ids[kind]));
  });
}

for (const [name, fates] of Object.entries(inLinks)) {
  test(`bpf_link_info, ${name}: all ids of objects are the namespace's, and nothing else is changed`, () => {
    const type = kernel.bpf_link_type[name as keyof typeof inLinks];
    assert.deepEqual(rewritten('link', type), expected('link', { ...inAllLinks, ...fates }));
  });
}

test('no structure has another member whose name says that it is an id', () => {
  const listed = { ...ids, link: Object.assign({}, inAllLinks, ...Object.values(inLinks)) as Ids };
  for (const kind of kinds) {
    const named = Object.keys(structures[kind]).filter((name) => /(^|_)[pt]?ids?$/.test(name));
    const known = Object.keys(listed[kind]);
    assert.deepEqual(named.filter((name) => !arrays.includes(name)).sort(), known.sort(), kind);
  }
});
