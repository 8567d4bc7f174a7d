/** The names of map, program and link types, as bpftool prints them. */
import type { Kind } from '../model/ids.js';
import { bpf_link_type, bpf_map_type, bpf_prog_type } from '../sys/kernel.gen.js';

function table(prefix: string, values: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith(prefix) && !names.has(value)) {
      names.set(
        value,
        name
          .slice(prefix.length)
          .replace(/_DEPRECATED$/, '')
          .toLowerCase(),
      );
    }
  }
  return names;
}

const tables: Readonly<Record<Kind, ReadonlyMap<number, string>>> = {
  map: table('BPF_MAP_TYPE_', bpf_map_type),
  prog: table('BPF_PROG_TYPE_', bpf_prog_type),
  link: table('BPF_LINK_TYPE_', bpf_link_type),
  btf: new Map(),
};

/** 'hash', 'tracepoint', ...; 'type N' for a type that is newer than this table. */
export function typeName(kind: Kind, type: number): string {
  return tables[kind].get(type) ?? `type ${type}`;
}
