/** What test/guests/token.c does in a user namespace, where a part of BPF is delegated. */

/** What to delegate, as `bpfns run --delegate` reads it. */
export const delegation = 'cmds=map_create:prog_load,maps=array,progs=socket_filter,attachs=cgroup_inet_ingress';

/** What the guest prints then; a line on a nested namespace follows, where it can make one. */
export const byToken = `token errno 0
map without token errno 1
array by token errno 0 id 1
hash by token errno 1
socket filter by token errno 0 id 1
xdp by token errno 1
enable stats errno 1
open map 1 errno 0
maps: 1 errno 2
programs: 1 errno 2
`;
