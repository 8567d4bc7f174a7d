/*
 * rights MODE ...: what a caller with certain capabilities may do and see.
 *   ids             every id command, TASK_FD_QUERY and ENABLE_STATS, with the error number of each
 *   info LOAD QUERY a program loaded with the capabilities LOAD, asked about with QUERY: what is shown
 *   modes           a map re-opened for reading or writing only
 *   foreign CMD...  makes objects, then becomes CMD, which inherits them as fds 100 (map) and 101 (program)
 *   race ROUNDS     dup2()s the inherited objects onto the numbers of fds being created
 *   light           a program of type SYSCALL makes a map, as light skeletons do
 * LOAD and QUERY name the capabilities to do without: "-", or some of "syslog,bpf".
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct bpf_insn give_0[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
	{ .code = BPF_JMP | BPF_EXIT },
};

static void drop(const char *names)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint64_t without = 0;

	if (strstr(names, "syslog"))
		without |= 1ull << CAP_SYSLOG;
	if (strstr(names, "bpf"))
		without |= 1ull << CAP_BPF | 1ull << CAP_PERFMON | 1ull << CAP_SYS_ADMIN;
	if (syscall(SYS_capget, &header, data))
		exit(2);
	data[0].effective &= ~without;
	data[1].effective &= ~(without >> 32);
	if (syscall(SYS_capset, &header, data))
		exit(2);
}

static void tell(const char *what, int result)
{
	printf("%s %d\n", what, result < 0 ? errno : 0);
}

static int ids(void)
{
	uint32_t next, length = 64, prog, type;
	__u64 offset, address;
	char name[64];

	tell("map-next", bpf_map_get_next_id(0, &next));
	tell("prog-next", bpf_prog_get_next_id(0, &next));
	tell("link-next", bpf_link_get_next_id(0, &next));
	tell("btf-next", bpf_btf_get_next_id(0, &next));
	tell("map-fd", bpf_map_get_fd_by_id(1));
	tell("prog-fd", bpf_prog_get_fd_by_id(1));
	tell("link-fd", bpf_link_get_fd_by_id(1));
	tell("btf-fd", bpf_btf_get_fd_by_id(1));
	tell("task-fd-query",
	     bpf_task_fd_query(getpid(), 0, 0, name, &length, &prog, &type, &offset, &address));
	tell("enable-stats", bpf_enable_stats(BPF_STATS_RUN_TIME));
	return 0;
}

/* Whether anything in there is set: contents differ from load to load, what is blanked does not. */
static const char *shown(const void *array, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		if (((const char *)array)[i])
			return "shown";
	return "blank";
}

static void show(const char *how, int fd)
{
	struct bpf_prog_info info = {};
	static uint64_t ksyms[16], lines[64];
	static char xlated[4096], jited[65536];
	static uint32_t lengths[16], maps[16];
	uint32_t length = sizeof(info);
	int result;

	info.jited_ksyms = (uint64_t)ksyms;
	info.nr_jited_ksyms = COUNT(ksyms);
	info.jited_line_info = (uint64_t)lines;
	info.nr_jited_line_info = COUNT(lines);
	info.jited_line_info_rec_size = 8;
	info.jited_func_lens = (uint64_t)lengths;
	info.nr_jited_func_lens = COUNT(lengths);
	info.xlated_prog_insns = (uint64_t)xlated;
	info.xlated_prog_len = sizeof(xlated);
	info.jited_prog_insns = (uint64_t)jited;
	info.jited_prog_len = sizeof(jited);
	info.map_ids = (uint64_t)maps;
	info.nr_map_ids = COUNT(maps);
	result = bpf_obj_get_info_by_fd(fd, &info, &length);
	printf("%s: error %d xlated %u %s %s, jited %s %s %s, ksyms %u %s %s, lens %u %s %s, lines %s, maps %u\n",
	       how, result < 0 ? errno : 0, info.xlated_prog_len,
	       info.xlated_prog_insns ? "given" : "refused", shown(xlated, sizeof(xlated)),
	       info.jited_prog_len ? "some" : "none", info.jited_prog_insns ? "given" : "refused",
	       shown(jited, sizeof(jited)), info.nr_jited_ksyms,
	       info.jited_ksyms ? "given" : "refused", shown(ksyms, sizeof(ksyms)),
	       info.nr_jited_func_lens, info.jited_func_lens ? "given" : "refused",
	       shown(lengths, sizeof(lengths)), shown(lines, sizeof(lines)), info.nr_map_ids);
	for (unsigned i = 0; i < COUNT(ksyms); i++)
		ksyms[i] = 0;
}

static int info(const char *load, const char *query)
{
	uint32_t length = 64;
	struct bpf_prog_info first = {};
	int map, prog, opened;

	drop(load);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "rights", 4, 8, 1, NULL);
	const struct bpf_insn code[] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		give_0[0],
		give_0[1],
	};
	prog = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "rights", "GPL", code, COUNT(code), NULL);
	if (prog < 0 || bpf_obj_get_info_by_fd(prog, &first, &length))
		return 2;
	drop(query);
	show("own", prog);
	opened = bpf_prog_get_fd_by_id(first.id);
	if (opened < 0)
		tell("by id", opened);
	else
		show("by id", opened);
	return 0;
}

static void try_map(const char *how, int fd)
{
	uint32_t key = 0;
	uint64_t value = 0;

	printf("%s: open %d", how, fd < 0 ? errno : 0);
	if (fd >= 0) {
		printf(" lookup %d", bpf_map_lookup_elem(fd, &key, &value) < 0 ? errno : 0);
		printf(" update %d", bpf_map_update_elem(fd, &key, &value, 0) < 0 ? errno : 0);
		close(fd);
	}
	printf("\n");
}

static int modes(void)
{
	struct bpf_map_info about = {};
	uint32_t length = sizeof(about);
	union bpf_attr attr = {};
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "modes", 4, 8, 1, NULL);

	if (map < 0 || bpf_obj_get_info_by_fd(map, &about, &length))
		return 2;
	static const struct {
		const char *name;
		uint32_t flags;
	} all[] = { { "both", 0 },
		    { "read-only", BPF_F_RDONLY },
		    { "write-only", BPF_F_WRONLY },
		    { "contradiction", BPF_F_RDONLY | BPF_F_WRONLY } };
	for (unsigned i = 0; i < COUNT(all); i++) {
		attr.map_id = about.id;
		attr.open_flags = all[i].flags;
		try_map(all[i].name, syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &attr, 16));
	}
	return 0;
}

static int foreign(char **command)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 8, 1, NULL);
	int prog = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "foreign", "GPL", give_0,
				 COUNT(give_0), NULL);

	if (dup2(map, 100) < 0 || dup2(prog, 101) < 0)
		return 2;
	execvp(command[0], command);
	return 2;
}

static volatile int target, done;

static void *put_foreign(void *unused)
{
	for (unsigned i = 0; !done; i++)
		dup2(i & 1 ? 100 : 101, target);
	return unused;
}

static int count_named(const char *name)
{
	int found = 0;

	for (uint32_t id = 0; !bpf_map_get_next_id(id, &id);) {
		struct bpf_map_info about = {};
		uint32_t length = sizeof(about);
		int fd = bpf_map_get_fd_by_id(id);

		bpf_obj_get_info_by_fd(fd, &about, &length);
		found += !strcmp(about.name, name);
		close(fd);
	}
	for (uint32_t id = 0; !bpf_prog_get_next_id(id, &id);)
		found += 1; /* this program loads none */
	return found;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info about = {};
	uint32_t length = sizeof(about);

	return bpf_obj_get_info_by_fd(fd, &about, &length) ? UINT32_MAX : about.id;
}

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info about = {};
	uint32_t length = sizeof(about);

	return bpf_obj_get_info_by_fd(fd, &about, &length) ? UINT32_MAX : about.id;
}

static int race(int rounds)
{
	pthread_t thread;
	int hits = 0;

	target = dup(0);
	close(target);
	pthread_create(&thread, NULL, put_foreign, NULL);
	for (int i = 0; i < rounds; i++) {
		int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mine", 4, 4, 1, NULL);

		if (fd < 0) /* EBUSY and the like: the number was just being taken */
			continue;
		target = fd;
		hits += syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, fd, 100) == 0;
		close(fd);
	}
	done = 1;
	pthread_join(thread, NULL);
	printf("replaced %s, visible %d, map id %u, program id %u\n", hits ? "often" : "never",
	       count_named("foreign"), map_id(100), prog_id(101));
	return 0;
}

static int light(void)
{
	/* union bpf_attr on the stack: an array of one u64 */
	const struct bpf_insn code[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = 0 },
		{ .code = BPF_ST | BPF_MEM | BPF_DW,
		  .dst_reg = 10,
		  .off = -16,
		  .imm = 1 }, /* max_entries, map_flags */
		{ .code = BPF_ST | BPF_MEM | BPF_W,
		  .dst_reg = 10,
		  .off = -20,
		  .imm = 8 }, /* value_size */
		{ .code = BPF_ST | BPF_MEM | BPF_W,
		  .dst_reg = 10,
		  .off = -24,
		  .imm = 4 }, /* key_size */
		{ .code = BPF_ST | BPF_MEM | BPF_W,
		  .dst_reg = 10,
		  .off = -28,
		  .imm = BPF_MAP_TYPE_ARRAY },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = BPF_MAP_CREATE },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -28 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 28 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sys_bpf },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_SLEEPABLE);
	LIBBPF_OPTS(bpf_test_run_opts, once);
	int prog =
		bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "loader", "GPL", code, COUNT(code), &options);
	int result = bpf_prog_test_run_opts(prog, &once);
	uint32_t next = 0;

	if (prog < 0 || result || (int)once.retval < 0) {
		printf("cannot run the loader: %d %d %d\n", prog, result, (int)once.retval);
		return 2;
	}
	printf("loader %u, its map %u", prog_id(prog), map_id(once.retval));
	bpf_map_get_next_id(0, &next);
	printf(", first map listed %u\n", next);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "ids"))
		return ids();
	if (!strcmp(mode, "info") && argc == 4)
		return info(argv[2], argv[3]);
	if (!strcmp(mode, "modes"))
		return modes();
	if (!strcmp(mode, "foreign") && argc > 2)
		return foreign(argv + 2);
	if (!strcmp(mode, "race") && argc == 3)
		return race(atoi(argv[2]));
	if (!strcmp(mode, "light"))
		return light();
	return 2;
}
