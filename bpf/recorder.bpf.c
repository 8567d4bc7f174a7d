// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The recorder: notes in the kernel who created which BPF object, and numbers it
 * in the creator's namespace and every ancestor.
 *
 *   fork            the child starts in its parent's namespace
 *   bpf() entered   remember the command and the newest ids known
 *   bpf() returned  find the object behind the new fd and write its record
 *
 * Two sets of hooks call the same two functions; user space loads one of them:
 * function hooks (fentry/fexit) where allowed, else the syscall tracepoints.
 */
#include "objects.h"
#include "task-maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How far a light skeleton's fd table is searched. */
#define MAX_FDS 65536
#define MAX_USED_MAPS 64
/* After the wrap: the most numbers in use that are skipped, more than the map "ids" holds. */
#define MAX_TRIES (1 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct bpfns_namespace);
} namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384 * (BPFNS_KINDS + 1));
	__type(key, struct bpfns_counter_key);
	__type(value, struct bpfns_counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct bpfns_object_key);
	__type(value, struct bpfns_object);
} objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 524288);
	__type(key, struct bpfns_id_key);
	__type(value, __u32);
} ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpfns_status);
} status SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpfns_task_request);
} one_task_request SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/*
 * Records being written, one a task. Not on the stack: before Linux 6.13 all functions
 * on the way, callbacks among them, share its 512 bytes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct bpfns_object);
} drafts SEC(".maps");

/* Only so that its layout gets into the BTF. */
const struct bpfns_event *event_layout __attribute__((unused));

static __always_inline struct bpfns_status *get_status(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&status, &zero);
}

/* Serial-number order (RFC 1982), so that it holds across the kernel's own wrap. */
static __always_inline bool is_newer(__u32 id, __u32 than)
{
	return (__s32)((id - than) << 1) > 0;
}

struct search {
	struct bpfns_counter *counter;
	struct bpfns_id_key key;
	__u32 host_id;
	int err; /* before Linux 6.4 the upper half of what the helper returns is undefined */
};

static long try_next_id(__u64 unused, struct search *search)
{
	search->key.id = __sync_fetch_and_add(&search->counter->allocated, 1) % BPFNS_MAX_ID + 1;
	search->err = bpf_map_update_elem(&ids, &search->key, &search->host_id, BPF_NOEXIST);
	return search->err != -17 /* EEXIST */;
}

/*
 * The functions below that are not static are verified once, on their own, instead of
 * along every path that leads to them: with the loops in them that would be too many.
 */

/* The next free number of a kind in a namespace: cyclic, skipping those in use. 0 if none. */
__noinline int allocate_id(__u32 ns, __u32 kind, __u32 host_id)
{
	struct bpfns_counter_key counter_key = { .ns = ns, .kind = kind };
	struct search search = { .key = { .ns = ns, .kind = kind }, .host_id = host_id };

	search.counter = bpf_map_lookup_elem(&counters, &counter_key);
	if (!search.counter)
		return 0;
	/* Before the wrap the first is free: only then is a loop of helpers worth its call. */
	if (!try_next_id(0, &search))
		bpf_loop(MAX_TRIES, try_next_id, &search, 0);
	return search.err ? 0 : search.key.id;
}

/* Numbers an object from its owner up to just below init, or gives all numbers back. */
__noinline int allocate_ids(struct bpfns_object *object, __u32 kind, __u32 host_id)
{
	struct bpfns_id_key key = { .kind = kind };
	__u32 ns;
	int level;

	if (!object)
		return -1;
	ns = object->owner;

	for (level = BPFNS_MAX_LEVEL; level > 0; level--) {
		struct bpfns_namespace *namespace;

		if (level > object->level)
			continue;
		namespace = bpf_map_lookup_elem(&namespaces, &ns);
		object->ids[level] = namespace ? allocate_id(ns, kind, host_id) : 0;
		if (!object->ids[level])
			goto undo;
		ns = namespace->parent;
	}
	object->ids[0] = host_id;
	return 0;
undo:
	ns = object->owner;
	for (level = BPFNS_MAX_LEVEL; level > 0; level--) {
		struct bpfns_namespace *namespace;

		if (level > object->level || !object->ids[level])
			continue;
		namespace = bpf_map_lookup_elem(&namespaces, &ns);
		if (!namespace)
			break;
		key.ns = ns;
		key.id = object->ids[level];
		bpf_map_delete_elem(&ids, &key);
		ns = namespace->parent;
	}
	return -1;
}

static __always_inline struct bpfns_object *get_draft(void)
{
	return bpf_task_storage_get(&drafts, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void publish(struct bpfns_status *stat, struct bpfns_object_key *key, struct bpfns_object *object)
{
	struct bpfns_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&stat->ring_overflows, 1);
		return;
	}
	event->key = *key;
	__builtin_memcpy(&event->object, object, sizeof(*object));
	/* The agent drains the ring before every answer; wake it only when the ring fills up. */
	bpf_ringbuf_submit(event, bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > (1 << 19) ?
				  BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

static long do_nothing(__u64 unused, void *nothing)
{
	return 0;
}

/*
 * The agent finds the dead by looking. Whoever makes objects faster than it can look pays for
 * it in time of their own, a fraction of a millisecond at most, long before one would be lost.
 */
static __always_inline void hold_up(struct bpfns_counter *counter)
{
	const __s64 many = BPFNS_MAX_OBJECTS_PER_NS / 4 * 3;

	if (counter->live > many)
		bpf_loop((counter->live - many) * 4, do_nothing, NULL, 0);
}

/* Writes the record of a new object of the current task. */
__noinline int record(struct bpfns_task *state, __u32 kind, __u32 host_id)
{
	struct bpfns_object_key key = { .kind = kind, .host_id = host_id };
	struct bpfns_status *stat = get_status();
	struct bpfns_counter_key counter_key = { .kind = kind };
	struct bpfns_namespace *namespace = NULL;
	struct bpfns_counter *counter = NULL;
	struct bpfns_object *object;
	__u32 *by_filter;
	__u64 pid_tgid;

	if (!stat || !state || kind >= BPFNS_KINDS)
		return -1;
	if (!host_id || !is_newer(host_id, state->newest[kind]) || bpf_map_lookup_elem(&objects, &key)) {
		__sync_fetch_and_add(&stat->refused, 1);
		return -1;
	}
	object = get_draft();
	if (!object)
		goto lost;
	__builtin_memset(object, 0, sizeof(*object));
	object->owner = state->ns;
	object->filter = filter_of_task(bpf_get_current_task_btf());
	if (object->owner == BPFNS_INIT && object->filter) {
		by_filter = bpf_map_lookup_elem(&filters, &object->filter);
		if (by_filter)
			object->owner = *by_filter;
	}
	counter_key.ns = object->owner;
	counter = bpf_map_lookup_elem(&counters, &counter_key);
	/* Init too: what the host makes and drops must not take the room of the namespaces. */
	if (!counter || counter->live >= BPFNS_MAX_OBJECTS_PER_NS)
		goto lost;
	if (object->owner != BPFNS_INIT) {
		namespace = bpf_map_lookup_elem(&namespaces, &object->owner);
		if (!namespace)
			goto lost;
		object->level = namespace->level;
	}
	pid_tgid = bpf_get_current_pid_tgid();
	object->pid = pid_tgid >> 32;
	object->tid = pid_tgid;
	object->uid = bpf_get_current_uid_gid();
	object->cgroup_id = bpf_get_current_cgroup_id();
	object->created_ns = bpf_ktime_get_boot_ns();
	bpf_get_current_comm(object->comm, sizeof(object->comm));

	/* Published last: nobody finds an object before all its numbers are there. */
	if (allocate_ids(object, kind, host_id) || bpf_map_update_elem(&objects, &key, object, BPF_NOEXIST))
		goto lost;
	__sync_fetch_and_add(&counter->live, 1);
	if (object->owner != BPFNS_INIT)
		hold_up(counter);
	/* A lost race only leaves the mark a little low; the check is one of three. */
	if (is_newer(host_id, stat->newest[kind]))
		stat->newest[kind] = host_id;

	publish(stat, &key, object);
	return 0;
lost:
	__sync_fetch_and_add(&stat->lost_objects, 1);
	return -1;
}

static __always_inline struct file *file_of_fd(struct task_struct *task, __u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(fdt, fd);
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(fdt, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
	return file;
}

/*
 * Whether this very process opened the file. A sibling thread may dup2() something else
 * onto the number before the hook runs; but a file received or re-opened through the agent
 * carries other credentials: the pointer is shared by the threads of one process only
 * (copy_creds() in kernel/cred.c), and what a guest itself can open here is always new.
 */
static __always_inline bool is_own_file(struct task_struct *task, struct file *file)
{
	return BPF_CORE_READ(file, f_cred) == BPF_CORE_READ(task, cred);
}

static __always_inline bool creates(__u32 cmd)
{
	return cmd == BPF_MAP_CREATE || cmd == BPF_PROG_LOAD || cmd == BPF_BTF_LOAD || cmd == BPF_LINK_CREATE ||
	       cmd == BPF_RAW_TRACEPOINT_OPEN;
}

/* A light skeleton is a program of type SYSCALL, run by BPF_PROG_RUN, that creates objects. */
static __always_inline bool runs_syscall_program(struct task_struct *task, void *attr)
{
	struct bpf_prog *prog;
	struct file *file;
	__u32 prog_fd;

	if (bpf_probe_read_user(&prog_fd, sizeof(prog_fd), attr))
		return false;
	file = file_of_fd(task, prog_fd);
	if (!file || kind_of_file(file) != BPFNS_PROG)
		return false;
	prog = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(prog, type) == BPF_PROG_TYPE_SYSCALL;
}

static __always_inline void bpf_entered(__u32 cmd, void *attr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_status *stat;
	struct bpfns_task *state;

	cmd &= 0xffff; /* newer kernels OR a flag into the upper half */
	if (!creates(cmd) && !(cmd == BPF_PROG_TEST_RUN && runs_syscall_program(task, attr)))
		return;
	stat = get_status();
	state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!stat || !state)
		return;
	__builtin_memcpy(state->newest, stat->newest, sizeof(state->newest));
	state->cmd = cmd + 1;
}

__noinline int record_if_new(struct bpfns_task *state, __u32 kind, __u32 id)
{
	struct bpfns_object_key key = { .kind = kind, .host_id = id };

	if (!state || kind >= BPFNS_KINDS)
		return 0;
	if (id && is_newer(id, state->newest[kind]) && !bpf_map_lookup_elem(&objects, &key))
		record(state, kind, id);
	return 0;
}

/* The loader of a light skeleton closes its BTF and some maps: find them through their users. */
static __always_inline void record_referenced(struct bpfns_task *state, int kind, void *object)
{
	if (kind == BPFNS_MAP) {
		struct btf *btf = BPF_CORE_READ((struct bpf_map *)object, btf);

		if (btf)
			record_if_new(state, BPFNS_BTF, BPF_CORE_READ(btf, id));
	} else if (kind == BPFNS_PROG) {
		struct bpf_prog_aux *aux = BPF_CORE_READ((struct bpf_prog *)object, aux);
		struct bpf_map **used = BPF_CORE_READ(aux, used_maps);
		__u32 count = BPF_CORE_READ(aux, used_map_cnt);
		struct btf *btf = BPF_CORE_READ(aux, btf);

		if (btf)
			record_if_new(state, BPFNS_BTF, BPF_CORE_READ(btf, id));
		for (int i = 0; i < MAX_USED_MAPS && i < count; i++) {
			struct bpf_map *map;

			if (!bpf_probe_read_kernel(&map, sizeof(map), &used[i]))
				record_if_new(state, BPFNS_MAP, BPF_CORE_READ(map, id));
		}
	}
}

static long walk_fd(__u64 fd, void *unused)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);
	struct file *file = file_of_fd(task, fd);
	void *object;
	int kind;

	if (!state || !file || !is_own_file(task, file))
		return 0;
	kind = kind_of_file(file);
	if (kind < 0)
		return 0;
	object = BPF_CORE_READ(file, private_data);
	record_referenced(state, kind, object);
	record_if_new(state, kind, id_of_object(kind, object));
	return 0;
}

static __always_inline void bpf_returned(long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);
	struct file *file;
	__u32 cmd;
	int kind;

	if (!state || !state->cmd)
		return;
	cmd = state->cmd - 1;
	state->cmd = 0;
	if (ret < 0)
		return;
	if (cmd == BPF_PROG_TEST_RUN) {
		__u32 max_fds = BPF_CORE_READ(task, files, fdt, max_fds);

		bpf_loop(max_fds < MAX_FDS ? max_fds : MAX_FDS, walk_fd, NULL, 0);
		return;
	}
	file = file_of_fd(task, ret);
	if (!file || !is_own_file(task, file))
		goto refused;
	kind = kind_of_file(file);
	if (kind < 0)
		goto refused;
	record(state, kind, id_of_object(kind, BPF_CORE_READ(file, private_data)));
	return;
refused:;
	struct bpfns_status *stat = get_status();

	if (stat)
		__sync_fetch_and_add(&stat->refused, 1);
}

/*
 * The namespace of a child about to run: its parent's, unless the agent found the
 * request for a new one in this very clone3(). The mark is used up by any fork, so that
 * one left by a clone3() that failed goes no further than the thread's next child.
 */
static __always_inline __u32 namespace_of_child(struct task_struct *parent, struct bpfns_task *state)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(parent);
	struct bpfns_namespace *namespace;
	__u32 next = state->next;

	if (!next)
		return state->ns;
	state->next = 0;
	/* A mark that is left may name a namespace that was collected since. */
	namespace = bpf_map_lookup_elem(&namespaces, &next);
	if (!namespace || BPF_CORE_READ(regs, orig_ax) != NR_CLONE3)
		return state->ns;
	return next;
}

static __always_inline void count_task(__u32 ns)
{
	struct bpfns_counter_key key = { .ns = ns, .kind = BPFNS_TASKS };
	struct bpfns_counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		__sync_fetch_and_add(&counter->allocated, 1);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_forked, struct task_struct *parent, struct task_struct *child)
{
	struct bpfns_task *mine = bpf_task_storage_get(&tasks, parent, 0, 0);
	struct bpfns_task *its;
	__u32 ns;

	if (!mine)
		return 0;
	ns = namespace_of_child(parent, mine);
	if (ns == BPFNS_INIT)
		return 0;
	its = bpf_task_storage_get(&tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (its) {
		its->ns = ns;
		count_task(ns);
	} else {
		struct bpfns_status *stat = get_status();

		if (stat)
			__sync_fetch_and_add(&stat->lost_tasks, 1);
	}
	return 0;
}

struct syscall_enter {
	__u64 common;
	long nr;
	unsigned long args[6];
};

struct syscall_exit {
	__u64 common;
	long nr;
	long ret;
};

SEC("tracepoint/syscalls/sys_enter_bpf")
int tracepoint_enter(struct syscall_enter *ctx)
{
	bpf_entered(ctx->args[0], (void *)ctx->args[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_bpf")
int tracepoint_exit(struct syscall_exit *ctx)
{
	bpf_returned(ctx->ret);
	return 0;
}

/* The target (__x64_sys_bpf, __arm64_sys_bpf) is set by user space before loading. */
SEC("fentry")
int BPF_PROG(function_enter, struct pt_regs *regs)
{
	bpf_entered(PT_REGS_PARM1_CORE_SYSCALL(regs), (void *)PT_REGS_PARM2_CORE_SYSCALL(regs));
	return 0;
}

SEC("fexit")
int BPF_PROG(function_exit, struct pt_regs *regs, long ret)
{
	bpf_returned(ret);
	return 0;
}

/* Read by the agent: reads or sets the state of the one thread that the request names. */
SEC("iter/task")
int one_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct bpfns_task_request *request;
	struct bpfns_task *state;
	__u32 zero = 0;

	request = bpf_map_lookup_elem(&one_task_request, &zero);
	if (!task || !request || (__u32)task->pid != request->tid)
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0, request->write ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (!state)
		return 0;
	if (request->write) {
		state->ns = request->ns;
		state->next = request->next;
	} else {
		request->ns = state->ns;
		request->next = state->next;
	}
	request->done = 1;
	return 0;
}

static __always_inline void count_live(__u32 ns, __u32 kind, int change)
{
	struct bpfns_counter_key key = { .ns = ns, .kind = kind };
	struct bpfns_counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		__sync_fetch_and_add(&counter->live, change);
}

/*
 * The agent's own runs create nothing: without this, every fd of the agent would be looked
 * at after each, which is most of the time that the end of a large namespace takes.
 */
static __always_inline void creates_nothing(void)
{
	struct bpfns_task *state = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0);

	if (state)
		state->cmd = 0;
}

/* Run by the agent: the object is dead, its numbers are free. */
SEC("syscall")
int forget(struct bpfns_forget *args)
{
	struct bpfns_object_key key = { .kind = args->kind, .host_id = args->host_id };
	struct bpfns_object *object = bpf_map_lookup_elem(&objects, &key);
	struct bpfns_id_key id_key = { .kind = args->kind };
	__u32 ns;

	creates_nothing();
	if (!object)
		return 0;
	ns = object->owner;
	count_live(ns, args->kind, -1);
	for (int level = BPFNS_MAX_LEVEL; level > 0; level--) {
		struct bpfns_namespace *namespace;

		if (level > object->level)
			continue;
		namespace = bpf_map_lookup_elem(&namespaces, &ns);
		if (!namespace)
			break;
		id_key.ns = ns;
		id_key.id = object->ids[level];
		bpf_map_delete_elem(&ids, &id_key);
		ns = namespace->parent;
	}
	bpf_map_delete_elem(&objects, &key);
	return 0;
}

struct adoption {
	__u64 filter;
	__u32 owner;
	__u32 level;
	__u32 count;
};

/* Takes over an object of init that was made under the filter before its namespace was known. */
static long adopt(void *map, struct bpfns_object_key *key, struct bpfns_object *object, struct adoption *adoption)
{
	struct bpfns_status *stat = get_status();
	struct bpfns_object *changed;

	if (object->owner != BPFNS_INIT || object->filter != adoption->filter || !stat)
		return 0;
	changed = get_draft();
	if (!changed)
		goto lost;
	*changed = *object;
	changed->owner = adoption->owner;
	changed->level = adoption->level;
	if (allocate_ids(changed, key->kind, key->host_id))
		goto lost;
	*object = *changed;
	count_live(BPFNS_INIT, key->kind, -1);
	count_live(adoption->owner, key->kind, 1);
	publish(stat, key, changed);
	adoption->count++;
	return 0;
lost:
	__sync_fetch_and_add(&stat->lost_objects, 1);
	return 0;
}

/*
 * Run by the agent: from now on tasks under the filter of one of its listeners belong to
 * a namespace, and so does what they made under it before the agent heard of them.
 */
SEC("syscall")
int bind_filter(struct bpfns_bind *args)
{
	struct file *file = file_of_fd(bpf_get_current_task_btf(), args->listener);
	struct adoption adoption = { .owner = args->ns };
	struct bpfns_namespace *namespace;
	char name[16] = {};
	__u32 ns = args->ns;

	creates_nothing();
	args->error = -9; /* EBADF */
	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (!is_named(name, "seccomp ", 8))
		return 0;
	adoption.filter = (__u64)BPF_CORE_READ(file, private_data);
	if (ns == BPFNS_INIT) {
		args->error = bpf_map_delete_elem(&filters, &adoption.filter);
		return 0;
	}
	namespace = bpf_map_lookup_elem(&namespaces, &ns);
	args->error = namespace ? bpf_map_update_elem(&filters, &adoption.filter, &ns, BPF_ANY) : -2;
	if (args->error)
		return 0;
	adoption.level = namespace->level;
	bpf_for_each_map_elem(&objects, adopt, &adoption, 0);
	args->adopted = adoption.count;
	return 0;
}

/* Run by the agent: kernel-owned BTF is visible everywhere and numbered like any other. */
SEC("syscall")
int number_kernel_btf(struct bpfns_number *args)
{
	creates_nothing();
	args->id = allocate_id(args->ns, BPFNS_BTF, args->host_id);
	return 0;
}
