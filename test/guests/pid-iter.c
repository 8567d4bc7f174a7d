/*
 * pid-iter prog|map|link|btf: prints "ID PID COMM" for every fd of such an object, by way of
 * an iterator, as bpftool finds out the `pids` of its listings.
 * pid-iter prog|map|link|btf CMD ARG...: becomes CMD, with the number of the iterator's link as its last argument.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>

#include "guest.h"

struct pid_iter_entry {
	uint32_t id;
	int pid;
	uint64_t bpf_cookie;
	bool has_bpf_cookie;
	char comm[16];
};

static uint32_t type_named(const char *name)
{
	static const char *const names[] = { "", "prog", "map", "link", "btf" };

	for (uint32_t type = 1; type < sizeof(names) / sizeof(names[0]); type++)
		if (strcmp(names[type], name) == 0)
			return type;
	exit(2);
}

/* The object file lies beside this program. */
static struct bpf_object *open_object(void)
{
	char path[4096] = {};
	struct bpf_object *object;

	must(readlink("/proc/self/exe", path, sizeof(path) - 16), "/proc/self/exe");
	object = bpf_object__open(strcat(path, ".bpf.o"));
	return object ? object : (must(-1, path), NULL);
}

/* It is all that .rodata holds. */
static void set_type(struct bpf_object *object, uint32_t type)
{
	struct bpf_map *rodata = bpf_object__find_map_by_name(object, ".rodata");

	must(rodata ? bpf_map__set_initial_value(rodata, &type, sizeof(type)) : -1, "obj_type");
}

int main(int argc, char **argv)
{
	struct bpf_object *object = open_object();
	struct pid_iter_entry entry;
	struct bpf_link *link;
	int iterator;

	set_type(object, type_named(argc > 1 ? argv[1] : ""));
	must(bpf_object__load(object), "load");
	link = bpf_program__attach_iter(bpf_object__find_program_by_name(object, "iter"), NULL);
	must(link ? 0 : -1, "attach");
	if (argc > 2) {
		char number[16];
		char *command[16] = {};

		snprintf(number, sizeof(number), "%d", must(dup(bpf_link__fd(link)), "dup"));
		for (int i = 2; i < argc && i < 16; i++)
			command[i - 2] = argv[i];
		command[argc < 16 ? argc - 2 : 14] = number;
		execvp(command[0], command);
		must(-1, command[0]);
	}
	iterator = must(bpf_iter_create(bpf_link__fd(link)), "iterator");
	while (read(iterator, &entry, sizeof(entry)) == sizeof(entry))
		printf("%u %d %s\n", entry.id, entry.pid, entry.comm);
	return 0;
}
