/** The types of a map's keys and values, as the map's own BTF says: for maps of another version. */
import { getInfoByFd, withObject } from './bpf.js';
import { Btf } from './btf.js';
import type { Typed } from './btf-convert.js';
import { btfBlob } from './btf-info.js';
import { check } from './errno.js';
import { bpf_map_info } from './kernel.gen.js';

export interface MapTypes {
  readonly key: Typed;
  readonly value: Typed;
}

/** BTF by its id: all maps of an object file share one. */
const parsed = new Map<number, Btf>();

/** @throws SyscallError; RangeError if the map has no BTF */
export function mapTypes(fd: number): MapTypes {
  const info = Buffer.alloc(bpf_map_info.sizeof);
  check(getInfoByFd(fd, info, info.length), 'bpf', 'cannot ask for a map');
  const id = info.readUInt32LE(bpf_map_info.btf_id);
  const btf = parsed.get(id) ?? readBtf(id);
  parsed.set(id, btf);
  return {
    key: { btf, type: info.readUInt32LE(bpf_map_info.btf_key_type_id) },
    value: { btf, type: info.readUInt32LE(bpf_map_info.btf_value_type_id) },
  };
}

function readBtf(id: number): Btf {
  const blob = withObject('btf', id, btfBlob);
  if (!blob) throw new RangeError('a map has no BTF');
  return new Btf(blob);
}
