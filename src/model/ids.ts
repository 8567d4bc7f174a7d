/** Host ids, namespace ids and object ids are different types: mixing them does not compile. */

/** The kernel's own id of an object, as init sees it. */
export type HostId = number & { readonly __id: 'host' };
/** An object's id in one namespace; 0 means "not visible". */
export type NsId = number & { readonly __id: 'ns' };
/** The id of a namespace; 0 is init. */
export type NamespaceId = number & { readonly __id: 'namespace' };

/** The four kinds of objects that have ids, in the order of enum bpfns_kind (bpf/bpfns.h). */
export const kinds = ['map', 'prog', 'link', 'btf'] as const;
export type Kind = (typeof kinds)[number];

export const INIT = 0 as NamespaceId;
export const INVISIBLE = 0 as NsId;

export const hostId = (id: number): HostId => id as HostId;
export const nsId = (id: number): NsId => id as NsId;
export const namespaceId = (id: number): NamespaceId => id as NamespaceId;

/** The number in `bpf:[N]`, the name of a namespace in the style of the links in /proc/PID/ns. */
export const inodeOf = (id: NamespaceId): number => 0xb9f00000 + id;
