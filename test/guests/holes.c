/*
 * Looks where the agent does not: prints what a guest sees of ids and of others' doings
 * through the paths that run natively. See docs/limitations.md.
 *
 *   holes fdinfo            map's id, then the map_id in /proc/self/fdinfo
 *   holes map-in-map        inner map's id, then what looking it up in the outer map yields
 *   holes prog-array        program's id, then what looking it up in the array yields
 *   holes map-iterator      ids of all maps that an iterator of our own meets
 *   holes tracing           "ready"; after a line on stdin the pids that forked meanwhile
 *   holes slow-memory       "ready"; then a call whose attr nobody ever fills: hangs
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD_IMM(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define RSH_IMM(d, i) INSN(BPF_ALU64 | BPF_RSH | BPF_K, d, 0, 0, i)
#define LOAD(size, d, s, o) INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(size, d, s, o) INSN(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define MAP_FD(d, fd) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int must(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

static unsigned map_id(int fd)
{
	struct bpf_map_info info = {};
	unsigned length = sizeof(info);

	must(bpf_obj_get_info_by_fd(fd, &info, &length), "map info");
	return info.id;
}

static int create(enum bpf_map_type type, unsigned value_size, unsigned entries, int inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = inner);

	return must(bpf_map_create(type, "hole", 4, value_size, entries, inner ? &opts : NULL),
		    "map create");
}

static void fdinfo(void)
{
	int fd = create(BPF_MAP_TYPE_ARRAY, 4, 1, 0);
	char path[64], line[128];
	FILE *file;

	printf("%u\n", map_id(fd));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "map_id:", 7))
			printf("%lu\n", strtoul(line + 7, NULL, 10));
}

static void map_in_map(void)
{
	int inner = create(BPF_MAP_TYPE_ARRAY, 4, 1, 0);
	int outer = create(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 1, inner);
	unsigned key = 0, value = 0;

	must(bpf_map_update_elem(outer, &key, &inner, 0), "update");
	must(bpf_map_lookup_elem(outer, &key, &value), "lookup");
	printf("%u\n%u\n", map_id(inner), value);
}

static void prog_array(void)
{
	struct bpf_insn code[] = { MOV_IMM(0, 0), EXIT() };
	int prog = must(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "hole", "GPL", code, COUNT(code),
				      NULL),
			"load");
	int array = create(BPF_MAP_TYPE_PROG_ARRAY, 4, 1, 0);
	struct bpf_prog_info info = {};
	unsigned key = 0, value = 0, length = sizeof(info);

	must(bpf_map_update_elem(array, &key, &prog, 0), "update");
	must(bpf_map_lookup_elem(array, &key, &value), "lookup");
	must(bpf_obj_get_info_by_fd(prog, &info, &length), "prog info");
	printf("%u\n%u\n", info.id, value);
}

/* Offset of a member in the running kernel, in bytes. */
static int offset_of(const char *structure, const char *member)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type =
		btf__type_by_id(btf, btf__find_by_name_kind(btf, structure, BTF_KIND_STRUCT));

	for (int i = 0; i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), member))
			return btf_member_bit_offset(type, i) / 8;
	errx(1, "no %s.%s", structure, member);
}

/* SEC("iter/bpf_map"): writes the id of every map. */
static void map_iterator(void)
{
	struct bpf_insn code[] = {
		MOV_REG(6, 1),
		LOAD(BPF_DW, 2, 1, 8), /* ctx->map */
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 8, 0),
		LOAD(BPF_W, 3, 2, offset_of("bpf_map", "id")),
		STORE(BPF_W, 10, 3, -4),
		LOAD(BPF_DW, 1, 6, 0), /* ctx->meta */
		LOAD(BPF_DW, 1, 1, 0), /* ->seq */
		MOV_REG(2, 10),
		ADD_IMM(2, -4),
		MOV_IMM(3, 4),
		CALL(BPF_FUNC_seq_write),
		MOV_IMM(0, 0),
		EXIT(),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_ITER,
		    .attach_btf_id =
			    must(libbpf_find_vmlinux_btf_id("bpf_map", BPF_TRACE_ITER), "btf id"));
	int prog, link, iterator;
	unsigned id;

	prog = must(bpf_prog_load(BPF_PROG_TYPE_TRACING, "hole", "GPL", code, COUNT(code), &opts),
		    "load");
	link = must(bpf_link_create(prog, 0, BPF_TRACE_ITER, NULL), "link create");
	iterator = must(bpf_iter_create(link), "iter create");
	while (read(iterator, &id, sizeof(id)) == sizeof(id))
		printf("%u\n", id);
}

/* SEC("raw_tp/sched_process_fork"): notes the pid of whoever forks. */
static void tracing(void)
{
	int pids = create(BPF_MAP_TYPE_HASH, 4, 4096, 0);
	struct bpf_insn code[] = {
		CALL(BPF_FUNC_get_current_pid_tgid),
		RSH_IMM(0, 32),
		STORE(BPF_W, 10, 0, -4),
		MAP_FD(1, pids),
		MOV_REG(2, 10),
		ADD_IMM(2, -4),
		MOV_REG(3, 2),
		MOV_IMM(4, 0),
		CALL(BPF_FUNC_map_update_elem),
		MOV_IMM(0, 0),
		EXIT(),
	};
	int prog = must(bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "hole", "GPL", code,
				      COUNT(code), NULL),
			"load");
	unsigned pid = 0;

	must(bpf_raw_tracepoint_open("sched_process_fork", prog), "attach");
	puts("ready");
	fflush(stdout);
	getchar();
	while (!bpf_map_get_next_key(pids, pid ? &pid : NULL, &pid))
		printf("%u\n", pid);
}

/* attr in a page that userfaultfd would have to fill. Needs CAP_SYS_PTRACE, for faults of the kernel. */
static void slow_memory(void)
{
	int fd = must(syscall(SYS_userfaultfd, O_CLOEXEC), "userfaultfd");
	struct uffdio_api api = { .api = UFFD_API };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = { .range = { (unsigned long)page, 4096 },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	must(ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	must(ioctl(fd, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
	puts("ready");
	fflush(stdout);
	must(syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, page, 16), "bpf");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*show)(void);
	} holes[] = {
		{ "fdinfo", fdinfo },	      { "map-in-map", map_in_map },
		{ "prog-array", prog_array }, { "map-iterator", map_iterator },
		{ "tracing", tracing },	      { "slow-memory", slow_memory },
	};

	for (unsigned i = 0; argc == 2 && i < COUNT(holes); i++) {
		if (!strcmp(argv[1], holes[i].name)) {
			holes[i].show();
			return 0;
		}
	}
	errx(2, "which hole?");
}
