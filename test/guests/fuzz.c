/*
 * fuzz SEED COUNT: makes COUNT bad bpf(2) calls, the same ones for the same seed, and prints
 * one line each: number, command, what is odd about it, and the error number (0: success).
 * It makes its own objects, so that the lines of two runs can be compared.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096
#define ITER_CREATE 33

static uint64_t state;

static uint32_t any(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % below;
}

/* ---- the objects ---- */

static int map, prog, link_fd, btf, tc, fds[12];

static void make_objects(void)
{
	const struct bpf_insn plain[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct btf *types = btf__new_empty();
	uint32_t size;
	int pipes[2];

	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fuzz", 4, 8, 1, NULL);
	const struct bpf_insn with_map[] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		plain[0],
		plain[1],
	};
	prog = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "fuzz", "GPL", with_map, COUNT(with_map),
			     NULL);
	tc = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "fuzz_tc", "GPL", plain, COUNT(plain), NULL);
	link_fd = bpf_raw_tracepoint_open("sched_process_hang", prog);
	btf__add_int(types, "int", 4, BTF_INT_SIGNED);
	const void *raw = btf__raw_data(types, &size);
	btf = bpf_btf_load(raw, size, NULL);
	if (map < 0 || prog < 0 || tc < 0 || link_fd < 0 || btf < 0 || pipe(pipes)) {
		perror("fuzz: cannot make the objects");
		exit(2);
	}
	fds[0] = map;
	fds[1] = prog;
	fds[2] = link_fd;
	fds[3] = btf;
	fds[4] = tc;
	fds[5] = pipes[0];
	fds[6] = open("/", O_PATH);
	fds[7] = open("/dev/null", O_RDWR);
	fds[8] = -1;
	fds[9] = 1000; /* closed */
	fds[10] = open("/proc/self/ns/net", O_RDONLY);
	fds[11] = 0x7fffffff;
}

static const char *const fd_names[] = { "map",	  "prog", "link", "btf",    "tc",    "pipe",
					"O_PATH", "null", "-1",	  "closed", "netns", "huge" };

/* ---- the memory ---- */

static char *area; /* rw, rw, unmapped, rw, read-only private, unmapped, none, unmapped */
static char *shared; /* a read-only shared mapping */
static int shared_fd;

static void make_memory(void)
{
	area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(area + 2 * PAGE, PAGE);
	munmap(area + 5 * PAGE, PAGE);
	munmap(area + 7 * PAGE, PAGE);
	mprotect(area + 6 * PAGE, PAGE, PROT_NONE);
	shared_fd = memfd_create("fuzz", 0);
	if (ftruncate(shared_fd, 2 * PAGE))
		exit(2);
	shared = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, shared_fd, 0);
}

enum place {
	PLAIN,
	UNALIGNED,
	CROSSING,
	AT_END,
	CUT,
	INTO_READONLY,
	READONLY,
	SHARED_READONLY,
	NONE,
	NOWHERE,
	NIL,
	KERNEL,
	NONCANONICAL,
	PLACES
};

static const char *const place_names[] = {
	"plain",	   "unaligned", "crossing", "at-end", "cut",	"into-readonly", "readonly",
	"shared-readonly", "none",	"nowhere",  "null",   "kernel", "noncanonical",
};

/* Puts `size` bytes somewhere odd and returns the address. */
static void *place(enum place where, const void *from, uint32_t size)
{
	uint32_t length = size < PAGE ? size : PAGE;
	char *at;

	switch (where) {
	case PLAIN:
		at = area;
		break;
	case UNALIGNED:
		at = area + 3;
		break;
	case CROSSING: /* two pages, both writable */
		at = area + PAGE - length / 2;
		break;
	case AT_END: /* ends where the mapping ends */
		at = area + 2 * PAGE - length;
		break;
	case CUT: /* the last byte is not mapped */
		at = area + 2 * PAGE - length + (length ? 1 : 0);
		memcpy(at, from, length ? length - 1 : 0);
		return at;
	case INTO_READONLY: /* the first half writable, the second not */
		at = area + 4 * PAGE - length / 2;
		mprotect(area + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE);
		memcpy(at, from, length);
		mprotect(area + 4 * PAGE, PAGE, PROT_READ);
		return at;
	case READONLY:
		at = area + 4 * PAGE;
		mprotect(at, PAGE, PROT_READ | PROT_WRITE);
		memcpy(at, from, length);
		mprotect(at, PAGE, PROT_READ);
		return at;
	case SHARED_READONLY:
		if (pwrite(shared_fd, from, length, 0) != (ssize_t)length)
			exit(2);
		return shared;
	case NONE:
		return area + 6 * PAGE;
	case NOWHERE:
		return area + 5 * PAGE;
	case NIL:
		return NULL;
	case KERNEL:
		return (void *)0xffffffff81000000;
	default:
		return (void *)0x4142434445464748;
	}
	memcpy(at, from, length);
	return at;
}

/* ---- the calls ---- */

struct command {
	int cmd;
	const char *name;
	int fd; /* u32 slot of an fd, -1 for none */
	int pointer; /* u64 slot of a pointer, -1 for none */
	uint32_t length; /* in bytes, of the command's own fields */
};

static const struct command all[] = {
	{ BPF_PROG_GET_NEXT_ID, "PROG_GET_NEXT_ID", -1, -1, 8 },
	{ BPF_MAP_GET_NEXT_ID, "MAP_GET_NEXT_ID", -1, -1, 8 },
	{ BPF_LINK_GET_NEXT_ID, "LINK_GET_NEXT_ID", -1, -1, 8 },
	{ BPF_BTF_GET_NEXT_ID, "BTF_GET_NEXT_ID", -1, -1, 8 },
	{ BPF_PROG_GET_FD_BY_ID, "PROG_GET_FD_BY_ID", -1, -1, 4 },
	{ BPF_MAP_GET_FD_BY_ID, "MAP_GET_FD_BY_ID", -1, -1, 12 },
	{ BPF_LINK_GET_FD_BY_ID, "LINK_GET_FD_BY_ID", -1, -1, 4 },
	{ BPF_BTF_GET_FD_BY_ID, "BTF_GET_FD_BY_ID", -1, -1, 4 },
	{ BPF_OBJ_GET_INFO_BY_FD, "OBJ_GET_INFO_BY_FD", 0, 1, 16 },
	{ BPF_PROG_QUERY, "PROG_QUERY", 0, 2, 64 },
	{ BPF_TASK_FD_QUERY, "TASK_FD_QUERY", 1, 2, 48 },
	{ BPF_OBJ_GET, "OBJ_GET", -1, 0, 16 },
	{ ITER_CREATE, "ITER_CREATE", 0, -1, 8 },
	{ BPF_LINK_CREATE, "LINK_CREATE", 0, -1, 32 },
	{ BPF_PROG_ATTACH, "PROG_ATTACH", 1, -1, 32 },
	{ BPF_PROG_DETACH, "PROG_DETACH", 1, -1, 32 },
	{ BPF_ENABLE_STATS, "ENABLE_STATS", -1, -1, 4 },
};

static uint32_t id_of(int fd)
{
	char buffer[256] = {}; /* id: the fourth field of BTF's info, the second of all others */
	uint32_t length = sizeof(buffer);

	if (bpf_obj_get_info_by_fd(fd, buffer, &length))
		exit(2);
	return ((uint32_t *)buffer)[fd == btf ? 3 : 1];
}

static int is_own;

/* Ids that mean the same in both runs: one's own, and those that nothing has. */
static uint32_t odd_id(int cmd)
{
	static const uint32_t none[] = { 0,	     0x7ffffffe, 0x7fffffff,
					 0x80000000, 0xffffffff, 0x7fffff00 };
	int choice = any(10);

	is_own = choice < 4;
	if (choice >= 5)
		return none[any(COUNT(none))];
	if (choice == 4)
		return 1u << (27 + any(5)); /* no host has counted that far */
	switch (cmd) {
	case BPF_PROG_GET_NEXT_ID:
		return id_of(prog) - 1;
	case BPF_MAP_GET_NEXT_ID:
		return id_of(map) - 1;
	case BPF_LINK_GET_NEXT_ID:
		return id_of(link_fd) - 1;
	case BPF_BTF_GET_NEXT_ID:
		return id_of(btf) - 1;
	case BPF_PROG_GET_FD_BY_ID:
		return id_of(prog);
	case BPF_MAP_GET_FD_BY_ID:
		return id_of(map);
	case BPF_LINK_GET_FD_BY_ID:
		return id_of(link_fd);
	default:
		return id_of(btf);
	}
}

static int takes_id(int cmd)
{
	return (cmd >= BPF_PROG_GET_NEXT_ID && cmd <= BPF_MAP_GET_FD_BY_ID) ||
	       cmd == BPF_BTF_GET_FD_BY_ID || cmd == BPF_BTF_GET_NEXT_ID ||
	       cmd == BPF_LINK_GET_FD_BY_ID || cmd == BPF_LINK_GET_NEXT_ID;
}

static const uint32_t odd[] = { 0,	    1,		2,	    7, 0x7ffffffe,
				0x7fffffff, 0x80000000, 0xffffffff, 5, 0x7fffff00 };

static char attr[8192], info[8192];
static char note[256];

static void add_note(const char *text)
{
	strncat(note, " ", sizeof(note) - strlen(note) - 1);
	strncat(note, text, sizeof(note) - strlen(note) - 1);
}

static void put32(int slot, uint32_t value)
{
	memcpy(attr + 4 * slot, &value, 4);
}

static void put64(int slot, uint64_t value)
{
	memcpy(attr + 8 * slot, &value, 8);
}

static void put_fd(int slot, int which)
{
	put32(slot, fds[which]);
	add_note(fd_names[which]);
}

/* An info structure with odd counts and pointers, in odd memory. */
static void make_info(int which)
{
	static const uint32_t lengths[] = { 0,	 1,   3,    4,	  8,	15,	   16,	31,
					    32,	 64,  79,   80,	  100,	208,	   224, 232,
					    240, 256, 1000, 4096, 4097, 0xffffffff };
	uint32_t length = lengths[any(COUNT(lengths))];
	uint32_t used = length < sizeof(info) ? length : PAGE;
	enum place where = any(2) ? PLAIN : any(PLACES);
	char text[32];

	memset(info, 0, sizeof(info));
	/* Pointers in a program's info, each with its count before it or behind all of them. */
	for (int n = any(4); n > 0; n--) {
		uint32_t value = odd[any(COUNT(odd))];
		int slot = any(58);

		memcpy(info + 4 * slot, &value, 4);
		snprintf(text, sizeof(text), "[%d]=%x", slot, value);
		add_note(text);
	}
	if (any(4) == 0 && used) {
		int at = any(used < PAGE ? used : PAGE);

		info[at] |= 1;
		snprintf(text, sizeof(text), "byte%d", at);
		add_note(text);
	}
	/* The info has an area of its own, behind the attr. */
	static char own[3 * PAGE] __attribute__((aligned(PAGE)));
	char *at = own + 16;

	if (where == PLAIN)
		memcpy(at, info, used < PAGE ? used : PAGE);
	else
		at = place(where, info, used);
	put32(which, length);
	put64(1, (uint64_t)at);
	snprintf(text, sizeof(text), "info_len=%d", (int)length);
	add_note(text);
	add_note("info:");
	add_note(place_names[where]);
}

static void make_pointer(int slot)
{
	static char name[PAGE * 2];
	static const char *const paths[] = { "/",
					     "",
					     "/nowhere",
					     "/dev/null",
					     "/sys/fs/bpf",
					     "/etc/passwd/x",
					     "relative/nothing",
					     "/proc/self/root/etc" };
	char text[32];

	switch (any(4)) {
	case 0: {
		enum place where = any(PLACES);
		put64(slot, (uint64_t)place(where, "/nowhere", 9));
		add_note("pointer:");
		add_note(place_names[where]);
		break;
	}
	case 1:
		memset(name, 'x', sizeof(name));
		put64(slot, (uint64_t)name);
		add_note("long");
		break;
	default: {
		int which = any(COUNT(paths));
		memset(name, 0, sizeof(name));
		strcpy(name, paths[which]);
		put64(slot, (uint64_t)name);
		snprintf(text, sizeof(text), "path%d", which);
		add_note(text);
	}
	}
}

static void one(unsigned number)
{
	const struct command *command = &all[any(COUNT(all))];
	uint32_t size = command->length, cmd = command->cmd;
	int usual_place = 1;
	char text[64];

	memset(attr, 0, sizeof(attr));
	note[0] = 0;
	if (command->fd >= 0)
		put_fd(command->fd, any(COUNT(fds)));
	if (command->cmd == BPF_OBJ_GET_INFO_BY_FD) {
		uint32_t keep = state & 1;
		make_info(1);
		usual_place = !keep; /* then both in odd memory */
	} else if (command->pointer >= 0) {
		make_pointer(command->pointer);
	}
	if (command->cmd == BPF_TASK_FD_QUERY && any(3)) {
		put32(0, getpid());
		put32(3, any(2) ? 64 : odd[any(COUNT(odd))]);
	}
	if (command->cmd == BPF_PROG_QUERY || command->cmd == BPF_LINK_CREATE)
		put32(command->cmd == BPF_PROG_QUERY ? 1 : 2, any(64));
	if (command->cmd == BPF_PROG_ATTACH || command->cmd == BPF_PROG_DETACH)
		put32(2, any(64));
	/* A few slots get odd values. */
	for (int n = any(3); n > 0; n--) {
		int slot = any(size / 4);
		uint32_t value = any(2) ? odd[any(COUNT(odd))] : 1u << any(32);

		if (command->cmd == BPF_OBJ_GET_INFO_BY_FD && slot >= 2)
			continue;
		if (slot == 0 && takes_id(command->cmd))
			continue;
		put32(slot, value);
		snprintf(text, sizeof(text), "{%d}=%x", slot, value);
		add_note(text);
	}
	if (takes_id(command->cmd) && any(2)) {
		uint32_t id = odd_id(command->cmd);

		put32(0, id);
		/* Small ones are told in words: they differ from run to run. */
		snprintf(text, sizeof(text), is_own ? "own" : "id=%x", id);
		add_note(text);
	}
	switch (any(8)) {
	case 0: {
		size = any(3) ? any(160) : any(4200);
		break;
	}
	case 1: {
		static const uint32_t sizes[] = { 0,	1,    4095,	  4096,
						  4097, 8192, 0x7fffffff, 0xffffffff };
		size = sizes[any(COUNT(sizes))];
		break;
	}
	case 2:
		size = 4096;
		int at = any(4096);
		if (takes_id(command->cmd) && at < 4)
			at += 4; /* not another id */
		attr[at] = 1;
		snprintf(text, sizeof(text), "tail%d", at);
		add_note(text);
		break;
	case 3:
		if (any(4) == 0) {
			cmd |= 1u << (16 + any(16));
			add_note("upper");
		} else if (any(4) == 0) {
			cmd = any(4) ? 39 + any(100) : 1u << (6 + any(26));
		}
		break;
	}
	if ((takes_id(command->cmd) || command->cmd == BPF_TASK_FD_QUERY) && size < 4)
		size = 0; /* half an id or pid is some other one */
	enum place where = usual_place && any(2) ? any(PLACES) : PLAIN;
	void *where_to = place(where, attr, size < sizeof(attr) ? size : sizeof(attr));

	errno = 0;
	long result = syscall(SYS_bpf, cmd, where_to, size);
	int error = result < 0 ? errno : 0;

	if (result > 0)
		close(result);
	printf("%u %s%s cmd=%x size=%u attr:%s%s = %d\n", number, command->name,
	       cmd == (uint32_t)command->cmd ? "" : "?", cmd, size, place_names[where], note,
	       error);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	state = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15u + 1;
	/* A network namespace of its own: nothing on the host is attached to. */
	setvbuf(stdout, NULL, _IOLBF, 0); /* so that the last line names the call that hangs */
	if (unshare(CLONE_NEWNET))
		return 2;
	make_objects();
	make_memory();
	for (unsigned i = 0; i < strtoul(argv[2], NULL, 0); i++)
		one(i);
	return 0;
}
