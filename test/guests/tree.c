/*
 * Objects in trees of namespaces, looked at from every place in the tree. The processes
 * share one table of fds (CLONE_FILES), so each has everybody's objects in hand.
 * Usage: tree WAY
 */
#include "bpf.h"
#include <sys/mman.h>

#define SIBLINGS 3
#define RACERS 8
#define MAPS_EACH 100

static struct {
	int map; /* the deepest level's */
	int maps[SIBLINGS][SIBLINGS];
	int ready;
} * shared;

/* Each level makes a map, so that the deepest level's has another id at each. */
static void descend(int level)
{
	int mine = create_map();
	pid_t child = clone_in_namespace(CLONE_FILES);

	if (!child)
		descend(level + 1);
	if (child < 0) {
		shared->map = mine;
		printf("level %d: %s\n", level, strerrorname_np(errno));
	} else {
		status_of(child);
	}
	int id = map_id(shared->map);
	int again = open_map(id);
	printf("level %d: map %d, by its id %d\n", level, id, map_id(again));
	fflush(stdout);
	if (level > 1)
		_exit(0);
}

static void meet(int who_many)
{
	__sync_fetch_and_add(&shared->ready, 1);
	while (*(volatile int *)&shared->ready < who_many)
		usleep(1000);
}

/* The n-th sibling makes n maps and looks at all of them. */
static void sibling(int self)
{
	char line[200];
	int length = sprintf(line, "sibling %d sees", self + 1);

	for (int i = 0; i <= self; i++)
		shared->maps[self][i] = create_map();
	meet(SIBLINGS);
	for (int other = 0; other < SIBLINGS; other++)
		for (int i = 0; i <= other; i++)
			length += sprintf(line + length, " %d", map_id(shared->maps[other][i]));
	line[length++] = '\n';
	if (write(1, line, length) != length)
		_exit(1);
	meet(2 * SIBLINGS);
	_exit(0);
}

static void siblings(void)
{
	pid_t children[SIBLINGS];

	for (int i = 0; i < SIBLINGS; i++) {
		children[i] = clone_in_namespace(CLONE_FILES);
		if (!children[i])
			sibling(i);
	}
	for (int i = 0; i < SIBLINGS; i++)
		status_of(children[i]);
}

static int load(int map, const char *name)
{
	struct bpf_insn code[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
		.insns = (uintptr_t)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (uintptr_t) "GPL",
	};

	strcpy(attr.prog_name, name);
	return bpf(BPF_PROG_LOAD, &attr);
}

static int attach(int prog)
{
	union bpf_attr attr = {};

	attr.raw_tracepoint.name = (uintptr_t) "sched_process_exit";
	attr.raw_tracepoint.prog_fd = prog;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

static void tell(const char *place, int prog, int link)
{
	__u32 map_ids[4] = {};
	struct bpf_prog_info prog_info = { .nr_map_ids = 4, .map_ids = (uintptr_t)map_ids };
	struct bpf_link_info link_info = {};
	union bpf_attr attr = { .info = { .bpf_fd = prog,
					  .info_len = sizeof(prog_info),
					  .info = (uintptr_t)&prog_info } };
	union bpf_attr of_link = { .info = { .bpf_fd = link,
					     .info_len = sizeof(link_info),
					     .info = (uintptr_t)&link_info } };

	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) || bpf(BPF_OBJ_GET_INFO_BY_FD, &of_link))
		dprintf(1, "no info: %m\n");
	dprintf(1, "%s: link %d to prog %d; prog %d uses map %d\n", place, link_info.id,
		link_info.prog_id, prog_info.id, map_ids[0]);
}

/* Two maps, two programs, two links in a child; the parent has a map already. */
static void example(void)
{
	create_map();
	pid_t child = clone_in_namespace(CLONE_FILES);
	int *kept = shared->maps[0];

	if (!child) {
		int maps[] = { create_map(), create_map() };

		for (int i = 0; i < 2; i++) {
			kept[2 * i] = load(maps[i], i ? "second" : "first");
			kept[2 * i + 1] = attach(kept[2 * i]);
			tell("child", kept[2 * i], kept[2 * i + 1]);
		}
		meet(2);
		meet(4);
		_exit(0);
	}
	meet(2);
	for (int i = 0; i < 2; i++)
		tell("parent", kept[2 * i], kept[2 * i + 1]);
	dprintf(1, "ready\n");
	getchar();
	meet(4);
	status_of(child);
}

/* A program and a link in this very process. */
static void example_here(void)
{
	int link = attach(load(create_map(), "here"));

	dprintf(1, "%d\n%s\n", getpid(), link < 0 ? "failed" : "ready");
	getchar();
}

/* Eight processes in namespaces one below the other make maps at once: "level: ids". */
static void race_at(int level)
{
	pid_t child = level < RACERS ? clone_in_namespace(0) : 0;
	char line[MAPS_EACH * 8];
	int length = sprintf(line, "level %d:", level);
	int maps[MAPS_EACH];

	if (!child && level < RACERS)
		race_at(level + 1);
	meet(RACERS);
	for (int i = 0; i < MAPS_EACH; i++)
		maps[i] = create_map();
	for (int i = 0; i < MAPS_EACH; i++)
		length += sprintf(line + length, " %d", map_id(maps[i]));
	line[length++] = '\n';
	if (write(1, line, length) != length)
		_exit(1);
	meet(2 * RACERS + 1); /* all maps stay until the last line is read */
	if (level > 1)
		_exit(0);
	status_of(child);
}

static void race(void)
{
	pid_t first = fork();

	if (!first) {
		race_at(1);
		_exit(0);
	}
	while (*(volatile int *)&shared->ready < 2 * RACERS)
		usleep(1000);
	dprintf(1, "ready\n");
	getchar();
	meet(2 * RACERS + 1);
	status_of(first);
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(way, "chain"))
		descend(1);
	else if (!strcmp(way, "siblings"))
		siblings();
	else if (!strcmp(way, "example"))
		example();
	else if (!strcmp(way, "example-here"))
		example_here();
	else if (!strcmp(way, "race"))
		race();
	else
		return 2;
	return 0;
}
