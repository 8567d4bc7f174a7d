/*
 * A map of kernel operations (struct_ops): OBJECT is congestion.bpf.o.
 *
 * struct-ops pin OBJECT PATH	makes one and pins it
 * struct-ops own OBJECT	makes one and registers it by a link
 * struct-ops foreign FD	registers one of somebody else
 *
 * The last two print what the map, the link and the link's map are called, and how many of the
 * numbers in the map's value, host ids of programs, open a program.
 */
#include <bpf/libbpf.h>

#include "guest.h"

/* Not in every header. */
#define BPF_F_LINK (1U << 13)
#define BPF_STRUCT_OPS 44
/* Of struct_ops.map_id in struct bpf_link_info, in words. */
#define LINK_MAP_ID 4
#define MAX_HOST_ID 0x7fffffff

static int make(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_map *map = bpf_object__find_map_by_name(object, "congestion");

	bpf_map__set_map_flags(map, BPF_F_LINK);
	must(bpf_object__load(object), "load");
	must(bpf_map__attach_struct_ops(map) ? 0 : -1, "attach");
	return bpf_map__fd(map);
}

static int opens(uint32_t id)
{
	union bpf_attr attr = { .prog_id = id };
	int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void tell_programs(int map)
{
	static uint64_t value[512];
	uint32_t key = 0;
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)value };
	int opened = 0;

	must(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "value");
	/* Behind the state and the count of references, which are not ids. */
	for (size_t i = 8; i < sizeof(value) / sizeof(*value); i++)
		opened += value[i] && value[i] <= MAX_HOST_ID && opens(value[i]);
	printf("opened %d programs\n", opened);
}

static void register_by_link(int map)
{
	uint32_t info[32] = {};
	union bpf_attr attr = { .link_create = { .prog_fd = map, .attach_type = BPF_STRUCT_OPS } };
	int link = must(bpf(BPF_LINK_CREATE, &attr), "link");

	attr = (union bpf_attr){
		.info = { .bpf_fd = link, .info_len = sizeof(info), .info = (uintptr_t)info }
	};
	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	printf("map %u, link %u of map %u\n", id_of(map, 0), info[1], info[LINK_MAP_ID]);
	tell_programs(map);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "pin"))
		pin(make(argv[2]), argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "own"))
		register_by_link(make(argv[2]));
	else if (argc == 3 && !strcmp(argv[1], "foreign"))
		register_by_link(atoi(argv[2]));
	else
		return 2;
	return 0;
}
