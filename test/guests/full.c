/*
 * Makes three maps, and lists and opens all maps for each line of its input. Told `full`, it first
 * lets its own limit of file descriptors leave no room.
 */
#include "guest.h"
#include <sys/resource.h>

static void list(void)
{
	union bpf_attr next = {};

	while (!bpf(BPF_MAP_GET_NEXT_ID, &next)) {
		union bpf_attr open = { .map_id = next.next_id };
		int fd = bpf(BPF_MAP_GET_FD_BY_ID, &open);

		printf(" %u", next.next_id);
		if (fd < 0)
			printf(" %s", strerror(errno));
		else
			close(fd);
		next.start_id = next.next_id;
	}
	printf(", then %s\ndone\n", strerror(errno));
	fflush(stdout);
}

int main(void)
{
	char line[16];

	for (int i = 0; i < 3; i++)
		create_map(BPF_MAP_TYPE_ARRAY, "each", 0);
	printf("done\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		struct rlimit none = {};

		if (!strcmp(line, "full\n"))
			must(setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
		list();
	}
	return 0;
}
