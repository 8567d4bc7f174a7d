/*
 * Opens what it has learnt a host id of, as programs do that look into maps of objects, ask perf or
 * place themselves relative to another. Prints a line for each: "WHAT: id ID, shown SHOWN, opened OPENED",
 * all but SHOWN being ids of the caller's namespace; or WHAT and the error.
 *
 *   aliases [TRACEPOINT]   TRACEPOINT: its id, for the one about perf; attaches to lo: in a network namespace
 *   aliases open ID        "prog ID: NAME" or the error, the same for map
 */
#define _GNU_SOURCE
#include "guest.h"
#include <linux/perf_event.h>
#include <net/if.h>
#include <sys/ioctl.h>

/* Not in the headers of Linux 6.1. */
enum { TCX_INGRESS = 46, F_BEFORE = 1 << 3, F_ID = 1 << 5, RELATIVE_ID = 20 / 4 };

enum { MAP, PROG };
static const int by_id[] = { BPF_MAP_GET_FD_BY_ID, BPF_PROG_GET_FD_BY_ID };

static int open_by_id(int kind, uint32_t id)
{
	union bpf_attr attr = { .map_id = id };

	return bpf(by_id[kind], &attr);
}

/* What the fd of `original` is called, what a look-up has shown, what comes of opening that. */
static void report(const char *what, int kind, int original, uint32_t shown)
{
	int fd = open_by_id(kind, shown);

	if (fd < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: id %u, shown %u, opened %u\n", what, id_of(original, 0), shown,
		       id_of(fd, 0));
	close(fd);
}

static uint32_t look_up(int map, uint32_t key)
{
	uint32_t value[2] = {};
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)value };

	must(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "look-up");
	return value[0];
}

static int map_with_values(enum bpf_map_type type, const char *name, uint32_t value_size)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = 4, .value_size = value_size, .max_entries = 4
	};

	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return bpf(BPF_MAP_CREATE, &attr);
}

/* Maps whose elements are a number and a program. */
static void device_map(const char *what, enum bpf_map_type type, enum bpf_attach_type attach,
		       uint32_t number)
{
	uint32_t key = 0, value[2] = { number };
	int prog = load_program(BPF_PROG_TYPE_XDP, attach, "element", -1);
	int map = map_with_values(type, what, sizeof(value));
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)value };

	value[1] = prog;
	if (map < 0 || bpf(BPF_MAP_UPDATE_ELEM, &attr)) {
		printf("%s: cannot fill it: %s\n", what, strerrorname_np(errno));
		return;
	}
	must(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "look-up");
	report(what, PROG, prog, value[1]);
}

static void iterate_hash(int inner)
{
	int outer = create_map(BPF_MAP_TYPE_HASH_OF_MAPS, "outer", inner);
	uint32_t key = 0, next;
	int count = 0;

	for (key = 0; key < 3; key++)
		must(update_map(outer, key, inner), "update");
	union bpf_attr attr = { .map_fd = outer, .next_key = (uintptr_t)&next };

	for (; !bpf(BPF_MAP_GET_NEXT_KEY, &attr); attr.key = (uintptr_t)&key) {
		int fd = open_by_id(MAP, look_up(outer, next));

		count += fd >= 0 && id_of(fd, 0) == id_of(inner, 0);
		close(fd);
		key = next;
	}
	printf("iterating: %d of 3\n", count);
}

static void perf_query(int tracepoint)
{
	struct perf_event_attr event = { .type = PERF_TYPE_TRACEPOINT,
					 .size = sizeof(event),
					 .config = tracepoint };
	int prog = load_program(BPF_PROG_TYPE_TRACEPOINT, 0, "traced", -1);
	struct {
		struct perf_event_query_bpf query;
		uint32_t ids[16];
	} all = { .query.ids_len = 16 };
	int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, 0);

	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) ||
	    ioctl(fd, PERF_EVENT_IOC_QUERY_BPF, &all)) {
		printf("perf event: %s\n", strerrorname_np(errno));
		return;
	}
	/* Ours is the last: the recorder's may be before it. */
	report("perf event", PROG, prog, all.query.ids[all.query.prog_cnt - 1]);
}

/* A second program before the first, which is named by its host id. */
static void relative(void)
{
	int second = load_program(BPF_PROG_TYPE_SCHED_CLS, 0, "second", -1);
	int first = load_program(BPF_PROG_TYPE_SCHED_CLS, 0, "first", -1);
	uint32_t host, ids[4] = {};
	int array = create_map(BPF_MAP_TYPE_PROG_ARRAY, "array", 0);
	int device = if_nametoindex("lo");
	union bpf_attr attr = { .target_fd = device,
				.attach_bpf_fd = first,
				.attach_type = TCX_INGRESS };

	must(update_map(array, 0, first), "update");
	host = look_up(array, 0);
	if (bpf(BPF_PROG_ATTACH, &attr)) {
		printf("relative: %s\n", strerrorname_np(errno));
		return;
	}
	attr.attach_bpf_fd = second;
	attr.attach_flags = F_BEFORE | F_ID;
	((uint32_t *)&attr)[RELATIVE_ID] = host;
	if (bpf(BPF_PROG_ATTACH, &attr)) {
		printf("relative: %s\n", strerrorname_np(errno));
		return;
	}
	union bpf_attr query = { .query = { .target_fd = device,
					    .attach_type = TCX_INGRESS,
					    .prog_ids = (uintptr_t)ids,
					    .prog_cnt = 4 } };

	must(bpf(BPF_PROG_QUERY, &query), "query");
	printf("relative: %s\n", ids[0] == id_of(second, 0) && ids[1] == id_of(first, 0) ?
					 "in order" :
					 "out of order");
}

static void open_and_tell(const char *what, int kind, uint32_t id)
{
	struct bpf_prog_info prog = {};
	struct bpf_map_info map = {};
	int fd = open_by_id(kind, id);
	union bpf_attr attr = { .info = { .bpf_fd = fd,
					  .info_len = kind == PROG ? sizeof(prog) : sizeof(map),
					  .info = kind == PROG ? (uintptr_t)&prog :
								 (uintptr_t)&map } };

	if (fd < 0 || bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s %u: %s\n", what, kind == PROG ? prog.id : map.id,
		       kind == PROG ? prog.name : map.name);
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		open_and_tell("map", MAP, atoi(argv[2]));
		open_and_tell("prog", PROG, atoi(argv[2]));
		return 0;
	}
	int inner = create_map(BPF_MAP_TYPE_ARRAY, "inner", 0);
	int outer = create_map(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", inner);
	int array = create_map(BPF_MAP_TYPE_PROG_ARRAY, "array", 0);
	int prog = load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "element", -1);

	must(update_map(outer, 0, inner), "update");
	report("map of maps", MAP, inner, look_up(outer, 0));
	iterate_hash(inner);
	must(update_map(array, 0, prog), "update");
	report("program array", PROG, prog, look_up(array, 0));
	device_map("devmap", BPF_MAP_TYPE_DEVMAP, BPF_XDP_DEVMAP, if_nametoindex("lo"));
	device_map("devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, BPF_XDP_DEVMAP, if_nametoindex("lo"));
	device_map("cpumap", BPF_MAP_TYPE_CPUMAP, BPF_XDP_CPUMAP, 64);
	if (argc > 1)
		perf_query(atoi(argv[1]));
	relative();
	return 0;
}
