/** The info structures of each kind: the places of their arrays and ids. */
import { hostId, type Kind } from '../../../model/ids.js';
import { bpf_btf_info, bpf_link_info, bpf_link_type, bpf_map_info, bpf_prog_info } from '../../../sys/kernel.gen.js';
import { type Translate, translateInstructions } from './instructions.js';
import { attachTarget } from './link-target.js';

/** A pointer in an info structure, and its count (in elements). */
export interface InfoArray {
  readonly pointer: number;
  readonly count: number;
  /** The size of an element in bytes, or the field that has it. */
  readonly size: number | { readonly field: number };
  readonly isString?: true;
  /** The kernel accepts one length only, and checks it. */
  readonly hasFixedLength?: true;
}

/** An array that the caller requests, and our buffer for it. */
export interface Request {
  readonly array: InfoArray;
  /** Its address in the caller's memory. */
  readonly address: number;
  /**
   * The number of elements to request. It is at least one if the caller requests any, as the kernel
   * then reads other fields.
   */
  readonly count: number;
  /** The number of bytes to request. */
  readonly room: number;
  readonly hasPointer: boolean;
  readonly buffer: Buffer;
}

export interface InfoShape {
  readonly sizeof: number;
  /** Whether an answer with a truncated string (ENOSPC) still fills the structure. */
  readonly answersWhenCut: boolean;
  /** Fields that the kernel reads, other than pointers and counts. */
  readonly inputs: readonly number[];
  /** The arrays, given an answer without arrays. Those of a link depend on its type. */
  readonly arrays: (info: Buffer) => readonly InfoArray[];
  /** Rewrites every id in the structure and its arrays. */
  readonly translate: (info: Buffer, translate: Translate, requests: readonly Request[]) => void;
}

function rewrite(info: Buffer, offset: number, kind: Kind, translate: Translate): void {
  const host = info.readUInt32LE(offset);
  if (host !== 0) info.writeUInt32LE(translate(kind, hostId(host)), offset);
}

const p = bpf_prog_info;
const mapIds: InfoArray = { pointer: p.map_ids, count: p.nr_map_ids, size: 4 };
const xlated: InfoArray = { pointer: p.xlated_prog_insns, count: p.xlated_prog_len, size: 1 };
const progArrays: readonly InfoArray[] = [
  { pointer: p.jited_prog_insns, count: p.jited_prog_len, size: 1 },
  xlated,
  mapIds,
  { pointer: p.jited_ksyms, count: p.nr_jited_ksyms, size: 8 },
  { pointer: p.jited_func_lens, count: p.nr_jited_func_lens, size: 4 },
  { pointer: p.func_info, count: p.nr_func_info, size: { field: p.func_info_rec_size } },
  { pointer: p.line_info, count: p.nr_line_info, size: { field: p.line_info_rec_size } },
  { pointer: p.jited_line_info, count: p.nr_jited_line_info, size: { field: p.jited_line_info_rec_size } },
  { pointer: p.prog_tags, count: p.nr_prog_tags, size: 8 },
];

const prog: InfoShape = {
  sizeof: p.sizeof,
  answersWhenCut: false,
  inputs: [p.func_info_rec_size, p.line_info_rec_size, p.jited_line_info_rec_size],
  arrays: () => progArrays,
  translate(info, translate, requests) {
    rewrite(info, p.id, 'prog', translate);
    rewrite(info, p.btf_id, 'btf', translate);
    rewrite(info, p.attach_btf_obj_id, 'btf', translate);
    for (const { array, buffer, room } of requests) {
      if (array === mapIds) for (let at = 0; at < room; at += 4) rewrite(buffer, at, 'map', translate);
      if (array === xlated) translateInstructions(buffer, room, translate);
    }
  },
};

const m = bpf_map_info;
const mapArrays: readonly InfoArray[] = [{ pointer: m.hash, count: m.hash_size, size: 1, hasFixedLength: true }];

const map: InfoShape = {
  sizeof: m.sizeof,
  answersWhenCut: false,
  inputs: [],
  // Since 6.18. Before that the fields do not exist and read as 0.
  arrays: () => mapArrays,
  translate(info, translate) {
    rewrite(info, m.id, 'map', translate);
    rewrite(info, m.btf_id, 'btf', translate);
    rewrite(info, m.btf_vmlinux_id, 'btf', translate);
  },
};

const b = bpf_btf_info;
const btfArrays: readonly InfoArray[] = [
  { pointer: b.btf, count: b.btf_size, size: 1 },
  { pointer: b.name, count: b.name_len, size: 1, isString: true },
];

const btf: InfoShape = {
  sizeof: b.sizeof,
  answersWhenCut: true,
  inputs: [],
  arrays: () => btfArrays,
  translate(info, translate) {
    rewrite(info, b.id, 'btf', translate);
  },
};

const l = bpf_link_info;
const text = (pointer: number, count: number): InfoArray => ({ pointer, count, size: 1, isString: true });

interface LinkExtra {
  readonly arrays?: readonly InfoArray[];
  /** Map and BTF ids in the fields of the type. */
  readonly maps?: readonly number[];
  readonly btfs?: readonly number[];
}

/** Every link type of Linux 7.3. Of other types only the common fields are shown. */
const linkExtras: ReadonlyMap<number, LinkExtra> = new Map<number, LinkExtra>([
  [
    bpf_link_type.BPF_LINK_TYPE_RAW_TRACEPOINT,
    { arrays: [text(l.raw_tracepoint_tp_name, l.raw_tracepoint_tp_name_len)] },
  ],
  [bpf_link_type.BPF_LINK_TYPE_TRACING, {}],
  [bpf_link_type.BPF_LINK_TYPE_CGROUP, {}],
  [
    bpf_link_type.BPF_LINK_TYPE_ITER,
    { arrays: [text(l.iter_target_name, l.iter_target_name_len)], maps: [l.iter_map_map_id] },
  ],
  [bpf_link_type.BPF_LINK_TYPE_NETNS, {}],
  [bpf_link_type.BPF_LINK_TYPE_XDP, {}],
  // uprobe.file_name, kprobe.func_name and tracepoint.tp_name have the same offset.
  [
    bpf_link_type.BPF_LINK_TYPE_PERF_EVENT,
    { arrays: [text(l.perf_event_uprobe_file_name, l.perf_event_uprobe_name_len)] },
  ],
  [
    bpf_link_type.BPF_LINK_TYPE_KPROBE_MULTI,
    {
      arrays: [
        { pointer: l.kprobe_multi_addrs, count: l.kprobe_multi_count, size: 8 },
        { pointer: l.kprobe_multi_cookies, count: l.kprobe_multi_count, size: 8 },
      ],
    },
  ],
  [bpf_link_type.BPF_LINK_TYPE_STRUCT_OPS, { maps: [l.struct_ops_map_id] }],
  [bpf_link_type.BPF_LINK_TYPE_NETFILTER, {}],
  [bpf_link_type.BPF_LINK_TYPE_TCX, {}],
  [
    bpf_link_type.BPF_LINK_TYPE_UPROBE_MULTI,
    {
      arrays: [
        text(l.uprobe_multi_path, l.uprobe_multi_path_size),
        { pointer: l.uprobe_multi_offsets, count: l.uprobe_multi_count, size: 8 },
        { pointer: l.uprobe_multi_ref_ctr_offsets, count: l.uprobe_multi_count, size: 8 },
        { pointer: l.uprobe_multi_cookies, count: l.uprobe_multi_count, size: 8 },
      ],
    },
  ],
  [bpf_link_type.BPF_LINK_TYPE_NETKIT, {}],
  [bpf_link_type.BPF_LINK_TYPE_SOCKMAP, { maps: [l.sockmap_map_id] }],
  [
    bpf_link_type.BPF_LINK_TYPE_TRACING_MULTI,
    {
      arrays: [
        // Of types in that BTF.
        { pointer: l.tracing_multi_ids, count: l.tracing_multi_count, size: 4 },
        { pointer: l.tracing_multi_addrs, count: l.tracing_multi_count, size: 8 },
        { pointer: l.tracing_multi_cookies, count: l.tracing_multi_count, size: 8 },
      ],
      btfs: [l.tracing_multi_btf_obj_id],
    },
  ],
]);
const PERF_EVENT_EVENT = 6;

const link: InfoShape = {
  sizeof: l.sizeof,
  answersWhenCut: false,
  inputs: [],
  arrays(info) {
    const type = info.readUInt32LE(l.type);
    const isPlainEvent =
      type === bpf_link_type.BPF_LINK_TYPE_PERF_EVENT && info.readUInt32LE(l.perf_event_type) === PERF_EVENT_EVENT;
    return isPlainEvent ? [] : (linkExtras.get(type)?.arrays ?? []);
  },
  translate(info, translate) {
    const type = info.readUInt32LE(l.type);
    const extra = linkExtras.get(type);
    if (type === bpf_link_type.BPF_LINK_TYPE_TRACING) {
      const kind = attachTarget(info.readUInt32LE(l.prog_id), info.readUInt32LE(l.tracing_target_obj_id));
      rewrite(info, l.tracing_target_obj_id, kind, translate);
    }
    for (const offset of extra?.maps ?? []) rewrite(info, offset, 'map', translate);
    for (const offset of extra?.btfs ?? []) rewrite(info, offset, 'btf', translate);
    if (!extra) info.fill(0, l.prog_id + 4, l.sizeof);
    rewrite(info, l.id, 'link', translate);
    rewrite(info, l.prog_id, 'prog', translate);
  },
};

const token: InfoShape = {
  // struct bpf_token_info (6.17): four u64 masks, no ids.
  sizeof: 32,
  answersWhenCut: false,
  inputs: [],
  arrays: () => [],
  translate() {},
};

export const infoShapes: Readonly<Record<Kind | 'token', InfoShape>> = { prog, map, btf, link, token };
