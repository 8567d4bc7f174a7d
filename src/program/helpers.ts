/**
 * What a program of a namespace with tracing=own may call. A helper that has no row is refused: it is not
 * for tracing, or is newer than this list. Names and ids are the kernel's (include/uapi/linux/bpf.h).
 */

export interface Helper {
  readonly id: number;
  readonly name: string;
  /**
   * `allowed`: as it is. `changed`: another call is made instead (src/program/confine.ts).
   * `refused`: the program is not loaded.
   */
  readonly verdict: 'allowed' | 'changed' | 'refused';
  /** What it gives or does, that is why. */
  readonly why: string;
  /** Whether it shows nothing of the current task, so that it may be called whichever that is. */
  readonly isNeutral: boolean;
}

const OWN_MAP = 'works on a map that the guest has an fd of';
const TIME = 'time is the same for all';
const CALLER = 'says something of the current task, which is the own one';
const MEMORY = 'works on memory that the program has already';
const USER = 'reads memory of the current task, which is the own one';
const NUMBER = 'a number that is of no task';
const KERNEL = 'it reads kernel memory';
const ADDRESS = 'it gives kernel addresses';
const OTHERS = 'it acts on or shows other tasks';
const LATER = 'what it starts runs later, in whatever task is current then';
const COUNTER = 'it counts what other tasks do';
const PIPE = 'the trace pipe belongs to the whole machine';

const neutral: readonly string[] = [OWN_MAP, TIME, MEMORY, NUMBER];
const row = (id: number, name: string, verdict: Helper['verdict'], why: string): Helper => {
  return { id, name, verdict, why, isNeutral: verdict === 'allowed' && neutral.includes(why) };
};
const allowed = (id: number, name: string, why: string): Helper => row(id, name, 'allowed', why);
const changed = (id: number, name: string, why: string): Helper => row(id, name, 'changed', why);
const refused = (id: number, name: string, why: string): Helper => row(id, name, 'refused', why);

export const helpers: readonly Helper[] = [
  allowed(1, 'map_lookup_elem', OWN_MAP),
  allowed(2, 'map_update_elem', OWN_MAP),
  allowed(3, 'map_delete_elem', OWN_MAP),
  changed(4, 'probe_read', 'becomes probe_read_user: the same for user addresses, EFAULT for those of the kernel'),
  allowed(5, 'ktime_get_ns', TIME),
  refused(6, 'trace_printk', PIPE),
  allowed(7, 'get_prandom_u32', NUMBER),
  allowed(8, 'get_smp_processor_id', NUMBER),
  allowed(12, 'tail_call', 'the program that it goes to has its own scope check'),
  changed(14, 'get_current_pid_tgid', 'becomes the ids in the PID namespace of the namespace'),
  allowed(15, 'get_current_uid_gid', CALLER),
  allowed(16, 'get_current_comm', CALLER),
  refused(22, 'perf_event_read', COUNTER),
  allowed(25, 'perf_event_output', OWN_MAP),
  changed(27, 'get_stackid', 'fails with EFAULT for kernel stacks, which are kernel addresses'),
  // Tools have it in code that they never run, or read the parent's pid through it.
  changed(35, 'get_current_task', 'gives 0, where nothing can be read'),
  refused(36, 'probe_write_user', 'it writes memory of tasks'),
  allowed(37, 'current_task_under_cgroup', CALLER),
  allowed(42, 'get_numa_node_id', NUMBER),
  changed(45, 'probe_read_str', 'becomes probe_read_user_str'),
  refused(55, 'perf_event_read_value', COUNTER),
  refused(56, 'perf_prog_read_value', COUNTER),
  refused(58, 'override_return', 'it changes what the kernel does'),
  changed(67, 'get_stack', 'fails with EFAULT for kernel stacks, which are kernel addresses'),
  allowed(80, 'get_current_cgroup_id', CALLER),
  allowed(87, 'map_push_elem', OWN_MAP),
  allowed(88, 'map_pop_elem', OWN_MAP),
  allowed(89, 'map_peek_elem', OWN_MAP),
  allowed(105, 'strtol', MEMORY),
  allowed(106, 'strtoul', MEMORY),
  refused(109, 'send_signal', OTHERS),
  allowed(112, 'probe_read_user', USER),
  refused(113, 'probe_read_kernel', KERNEL),
  allowed(114, 'probe_read_user_str', USER),
  refused(115, 'probe_read_kernel_str', KERNEL),
  refused(117, 'send_signal_thread', OTHERS),
  allowed(118, 'jiffies64', TIME),
  refused(119, 'read_branch_records', ADDRESS),
  allowed(120, 'get_ns_current_pid_tgid', CALLER),
  refused(123, 'get_current_ancestor_cgroup_id', 'it says where on the host the cgroup is'),
  allowed(125, 'ktime_get_boot_ns', TIME),
  refused(126, 'seq_printf', KERNEL),
  refused(127, 'seq_write', 'it is for iterators'),
  allowed(130, 'ringbuf_output', OWN_MAP),
  allowed(131, 'ringbuf_reserve', OWN_MAP),
  allowed(132, 'ringbuf_submit', OWN_MAP),
  allowed(133, 'ringbuf_discard', OWN_MAP),
  allowed(134, 'ringbuf_query', OWN_MAP),
  refused(141, 'get_task_stack', OTHERS),
  refused(147, 'd_path', KERNEL),
  allowed(148, 'copy_from_user', USER),
  refused(149, 'snprintf_btf', KERNEL),
  refused(150, 'seq_printf_btf', KERNEL),
  refused(153, 'per_cpu_ptr', KERNEL),
  refused(154, 'this_cpu_ptr', KERNEL),
  refused(156, 'task_storage_get', 'it takes the address of a task'),
  refused(157, 'task_storage_delete', 'it takes the address of a task'),
  refused(158, 'get_current_task_btf', KERNEL),
  allowed(160, 'ktime_get_coarse_ns', TIME),
  allowed(164, 'for_each_map_elem', OWN_MAP),
  // %s and %p.s copy strings from any kernel address, %pB and %pS name kernel symbols.
  refused(165, 'snprintf', KERNEL),
  refused(166, 'sys_bpf', 'it makes system calls inside the kernel'),
  refused(167, 'btf_find_by_name_kind', 'it is for programs that make system calls'),
  refused(168, 'sys_close', 'it makes system calls inside the kernel'),
  refused(169, 'timer_init', LATER),
  refused(170, 'timer_set_callback', LATER),
  refused(171, 'timer_start', LATER),
  refused(172, 'timer_cancel', LATER),
  allowed(173, 'get_func_ip', 'the address of the probe in user memory'),
  allowed(174, 'get_attach_cookie', 'a number that the guest gave'),
  refused(175, 'task_pt_regs', KERNEL),
  refused(176, 'get_branch_snapshot', ADDRESS),
  refused(177, 'trace_vprintk', PIPE),
  refused(179, 'kallsyms_lookup_name', ADDRESS),
  refused(180, 'find_vma', KERNEL),
  allowed(181, 'loop', MEMORY),
  allowed(182, 'strncmp', MEMORY),
  refused(183, 'get_func_arg', KERNEL),
  refused(184, 'get_func_ret', KERNEL),
  refused(185, 'get_func_arg_cnt', KERNEL),
  refused(191, 'copy_from_user_task', OTHERS),
  refused(194, 'kptr_xchg', 'it keeps kernel objects'),
  allowed(195, 'map_lookup_percpu_elem', OWN_MAP),
  allowed(197, 'dynptr_from_mem', MEMORY),
  allowed(198, 'ringbuf_reserve_dynptr', OWN_MAP),
  allowed(199, 'ringbuf_submit_dynptr', OWN_MAP),
  allowed(200, 'ringbuf_discard_dynptr', OWN_MAP),
  allowed(201, 'dynptr_read', MEMORY),
  allowed(202, 'dynptr_write', MEMORY),
  allowed(203, 'dynptr_data', MEMORY),
  allowed(208, 'ktime_get_tai_ns', TIME),
  allowed(209, 'user_ringbuf_drain', OWN_MAP),
  refused(210, 'cgrp_storage_get', 'it takes the address of a cgroup'),
  refused(211, 'cgrp_storage_delete', 'it takes the address of a cgroup'),
];

const byId = new Map(helpers.map((helper) => [helper.id, helper]));

/**
 * No kernel has so many. libbpf puts such numbers into code for other kernels, which is not run here: 0xbad2310
 * for a field that there is not, 2001000000 and more for a map. The verifier refuses them where they are reached.
 */
const FIRST_IMPOSSIBLE = 1_000_000;

/** What the list says of a helper; one that it does not know is refused. */
export function helper(id: number): Helper {
  if (id >= FIRST_IMPOSSIBLE) return allowed(id, 'unknown', 'the verifier refuses it where it is reached');
  return byId.get(id) ?? refused(id, 'unknown', 'it is not known to be safe');
}
