/*
 * orphans CASE PIN CGROUP: makes objects, leaves them to what CASE names, and exits. The
 * object to look at is called "orphan"; PIN is a path in bpffs, CGROUP a directory of cgroup2.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "guest.h"

static const char *pin_path, *cgroup_path;

static int cgroup_program(int map)
{
	return load_program(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS,
			    map < 0 ? "orphan" : "user", map);
}

static int cgroup(void)
{
	return must(open(cgroup_path, O_RDONLY | O_DIRECTORY), cgroup_path);
}

static void attach(int prog)
{
	union bpf_attr attr = { .target_fd = cgroup(),
				.attach_bpf_fd = prog,
				.attach_type = BPF_CGROUP_INET_EGRESS };

	must(bpf(BPF_PROG_ATTACH, &attr), "attach");
}

static void pinned_map(void)
{
	pin(create_map(BPF_MAP_TYPE_HASH, "orphan", 0), pin_path);
}

static void pinned_prog(void)
{
	pin(cgroup_program(-1), pin_path);
}

static void link_pinned(void)
{
	union bpf_attr attr = { .link_create = { .prog_fd = cgroup_program(-1),
						 .target_fd = cgroup(),
						 .attach_type = BPF_CGROUP_INET_EGRESS } };

	pin(must(bpf(BPF_LINK_CREATE, &attr), "link"), pin_path);
}

static void attached(void)
{
	attach(cgroup_program(-1));
}

static void unpinned_while_attached(void)
{
	int prog = cgroup_program(-1);

	pin(prog, pin_path);
	attach(prog);
	must(unlink(pin_path), pin_path);
}

/* Another process holds the socket, and nothing else, until its stdin ends. */
static void socket_filter(void)
{
	int prog = load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "orphan", -1);
	int sock = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	struct sockaddr_in any = { .sin_family = AF_INET };
	int on = 1;

	must(setsockopt(sock, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
	must(bind(sock, (struct sockaddr *)&any, sizeof(any)), "bind");
	must(setsockopt(sock, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog, sizeof(prog)),
	     "SO_ATTACH_REUSEPORT_EBPF");
	close(prog);
	if (fork() == 0) {
		execlp("cat", "cat", NULL);
		must(-1, "cat");
	}
}

static void used_by_prog(void)
{
	pin(cgroup_program(create_map(BPF_MAP_TYPE_HASH, "orphan", 0)), pin_path);
}

static void inner_map(void)
{
	int inner = create_map(BPF_MAP_TYPE_HASH, "orphan", 0);
	int outer = create_map(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", inner);

	must(update_map(outer, 2, inner), "update");
	pin(outer, pin_path);
}

static void tail_call(void)
{
	int array = create_map(BPF_MAP_TYPE_PROG_ARRAY, "calls", 0);

	must(update_map(array, 1, cgroup_program(-1)), "update");
	pin(array, pin_path);
}

/* A map whose elements are a number and a program. */
static void in_numbered(enum bpf_map_type type, enum bpf_attach_type attach, uint32_t number)
{
	uint32_t key = 0,
		 value[2] = { number, load_program(BPF_PROG_TYPE_XDP, attach, "orphan", -1) };
	union bpf_attr create = {
		.map_type = type, .key_size = 4, .value_size = sizeof(value), .max_entries = 4
	};
	int map = must(bpf(BPF_MAP_CREATE, &create), "map");
	union bpf_attr update = { .map_fd = map,
				  .key = (uintptr_t)&key,
				  .value = (uintptr_t)value };

	must(bpf(BPF_MAP_UPDATE_ELEM, &update), "update");
	pin(map, pin_path);
}

static void device_map(void)
{
	in_numbered(BPF_MAP_TYPE_DEVMAP_HASH, BPF_XDP_DEVMAP, if_nametoindex("lo"));
}

static void cpu_map(void)
{
	in_numbered(BPF_MAP_TYPE_CPUMAP, BPF_XDP_CPUMAP, 64);
}

static const struct {
	const char *name;
	void (*make)(void);
} cases[] = {
	{ "pinned-map", pinned_map },
	{ "pinned-prog", pinned_prog },
	{ "link-pinned", link_pinned },
	{ "attached", attached },
	{ "unpinned-while-attached", unpinned_while_attached },
	{ "socket", socket_filter },
	{ "used-by-prog", used_by_prog },
	{ "inner-map", inner_map },
	{ "tail-call", tail_call },
	{ "device-map", device_map },
	{ "cpu-map", cpu_map },
};

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	pin_path = argv[2];
	cgroup_path = argv[3];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].make();
			return 0;
		}
	}
	return 2;
}
