/** Offsets of a structure's members, nested ones flattened: `info.bpf_fd` is `info_bpf_fd`. */
import { type Btf, BtfKind } from './btf.js';

export type Layout = ReadonlyMap<string, number>;

/** The layout of a structure or union, or undefined if the BTF has none of that name. */
export function layoutOf(btf: Btf, name: string): Layout | undefined {
  const type = btf.find(BtfKind.struct, name) || btf.find(BtfKind.union, name);
  if (type === 0) return undefined;
  const layout = new Map<string, number>([['sizeof', btf.size(type)]]);
  flatten(btf, type, '', 0, layout);
  return layout;
}

function flatten(btf: Btf, type: number, prefix: string, base: number, into: Map<string, number>): void {
  for (const member of btf.members(type)) {
    const name = prefix && member.name ? `${prefix}_${member.name}` : prefix || member.name;
    const inner = btf.resolve(member.type);
    const kind = btf.kind(inner);
    const isAnonymous = btf.name(inner) === '';
    const offset = base + member.offset;
    if (member.name) into.set(name, offset);
    if ((kind === BtfKind.struct || kind === BtfKind.union) && (isAnonymous || member.name)) {
      flatten(btf, inner, name, offset, into);
    }
  }
}
