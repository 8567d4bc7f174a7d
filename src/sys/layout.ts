/**
 * The offsets of a structure's members. Members of nested structures are flattened: `info.bpf_fd`
 * is `info_bpf_fd`.
 */
import { type Btf, BtfKind } from './btf.js';

export type Layout = ReadonlyMap<string, number>;

/** The most members that are visited. A structure with more counts as endless, as one that contains itself is. */
const MAX_MEMBERS = 65536;
const MAX_DEPTH = 32;

/** The layout of a structure or union; undefined if the BTF has none of that name. @throws RangeError */
export function layoutOf(btf: Btf, name: string): Layout | undefined {
  const type = btf.find(BtfKind.struct, name) || btf.find(BtfKind.union, name);
  if (type === 0) return undefined;
  const layout = new Map<string, number>([['sizeof', btf.size(type)]]);
  let members = 0;
  flatten(type, '', 0, 0);
  return layout;

  function flatten(structure: number, prefix: string, base: number, depth: number): void {
    for (const member of btf.members(structure)) {
      if (++members > MAX_MEMBERS || depth > MAX_DEPTH) throw new RangeError(`structure ${name} does not end`);
      const path = prefix && member.name ? `${prefix}_${member.name}` : prefix || member.name;
      const offset = base + member.offset;
      if (member.name) layout.set(path, offset);
      const inner = btf.resolve(member.type);
      const kind = btf.kind(inner);
      if (kind === BtfKind.struct || kind === BtfKind.union) flatten(inner, path, offset, depth + 1);
    }
  }
}
