/** The kernel's information about one object: name, type, and the objects that it refers to. */
import type { Kind } from '../model/ids.js';
import { getInfoByFd, withObject } from '../sys/bpf.js';
import { btfInfo } from '../sys/btf-info.js';
import { cString } from '../sys/c-string.js';
import { bpf_link_info, bpf_map_info, bpf_prog_info } from '../sys/kernel.gen.js';
import { addressOf } from '../sys/libc.js';
import { typeName } from './type-names.js';

export interface Details {
  readonly name: string;
  readonly type: string;
  /** The host ids of the objects that this one keeps alive. */
  readonly refers: ReadonlyArray<readonly [Kind, number]>;
}

/** Undefined if the object is gone. */
export function detailsOf(kind: Kind, host: number): Details | undefined {
  return withObject(kind, host, readers[kind]);
}

const readers: Readonly<Record<Kind, (fd: number) => Details>> = {
  map: mapDetails,
  prog: progDetails,
  link: linkDetails,
  btf: btfDetails,
};

/** BPF_OBJ_NAME_LEN. */
const NAME = 16;

function mapDetails(fd: number): Details {
  const info = Buffer.alloc(bpf_map_info.sizeof);
  getInfoByFd(fd, info, info.length);
  const btf = info.readUInt32LE(bpf_map_info.btf_id);
  return {
    name: cString(info, bpf_map_info.name, NAME),
    type: typeName('map', info.readUInt32LE(bpf_map_info.type)),
    refers: btf === 0 ? [] : [['btf', btf]],
  };
}

const MAX_MAPS = 64;

function progDetails(fd: number): Details {
  const info = Buffer.alloc(bpf_prog_info.sizeof);
  const maps = Buffer.alloc(MAX_MAPS * 4);
  info.writeUInt32LE(MAX_MAPS, bpf_prog_info.nr_map_ids);
  info.writeBigUInt64LE(addressOf(maps), bpf_prog_info.map_ids);
  getInfoByFd(fd, info, info.length);
  const count = Math.min(info.readUInt32LE(bpf_prog_info.nr_map_ids), MAX_MAPS);
  const btf = info.readUInt32LE(bpf_prog_info.btf_id);
  return {
    name: cString(info, bpf_prog_info.name, NAME),
    type: typeName('prog', info.readUInt32LE(bpf_prog_info.type)),
    refers: [
      ...Array.from({ length: count }, (_, i) => ['map', maps.readUInt32LE(i * 4)] as const),
      ...(btf === 0 ? [] : [['btf', btf] as const]),
    ],
  };
}

function linkDetails(fd: number): Details {
  const info = Buffer.alloc(bpf_link_info.sizeof);
  getInfoByFd(fd, info, info.length);
  const prog = info.readUInt32LE(bpf_link_info.prog_id);
  return {
    name: '',
    type: typeName('link', info.readUInt32LE(bpf_link_info.type)),
    refers: prog === 0 ? [] : [['prog', prog]],
  };
}

function btfDetails(fd: number): Details {
  const info = btfInfo(fd);
  return { name: info?.name ?? '', type: info?.isKernel ? 'kernel' : 'user', refers: [] };
}
