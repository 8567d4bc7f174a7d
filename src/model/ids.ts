/** The two sorts of id, kept apart by type: mixing them does not compile. */

/** The kernel's own id of an object: what init sees. */
export type HostId = number & { readonly __id: 'host' };
/** An object's id in some namespace; 0 stands for "not visible". */
export type NsId = number & { readonly __id: 'ns' };
/** A namespace's own number; 0 is init. */
export type NamespaceId = number & { readonly __id: 'namespace' };

/** The four kinds of object that have ids, in the order of enum bpfns_kind (bpf/bpfns.h). */
export const kinds = ['map', 'prog', 'link', 'btf'] as const;
export type Kind = (typeof kinds)[number];

export const INIT = 0 as NamespaceId;
export const INVISIBLE = 0 as NsId;

export const hostId = (id: number): HostId => id as HostId;
export const nsId = (id: number): NsId => id as NsId;
export const namespaceId = (id: number): NamespaceId => id as NamespaceId;

/** The number in `bpf:[N]`, which names a namespace as the links in /proc/PID/ns do theirs. */
export const inodeOf = (id: NamespaceId): number => 0xb9f00000 + id;
