/*
 * What an observer could see of the mistakes of the RFC. Usage: observe WAY
 *   publish      one process makes and closes maps, others find them by id, here and below
 *   lost         makes a map and tells its fd, id, and whether it works
 *   query PID    asks for the programs behind the first fds of another process
 */
#include "bpf.h"

#define ROUNDS 6000
/* How many maps live at a time: long enough to be met. */
#define KEPT 64

static int works(int fd)
{
	__u32 key = 0, value = 7;
	union bpf_attr attr = { .map_fd = fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	return !bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* Until the maker ends: every id that is listed is an object's of that id, or gone again. */
static void find(pid_t maker, const char *where)
{
	int found = 0, wrong = 0;

	while (!waitpid(maker, NULL, WNOHANG)) {
		for (int id = next_map(0); id > 0; id = next_map(id)) {
			int fd = open_map(id);

			found += fd >= 0;
			wrong += fd >= 0 ? map_id(fd) != id : errno != ENOENT;
			if (fd >= 0)
				close(fd);
		}
	}
	dprintf(1, "%s: %s, %d wrong\n", where, found ? "found" : "found none", wrong);
}

static void make_maps(void)
{
	int kept[KEPT];

	for (int i = 0; i < ROUNDS; i++) {
		if (i >= KEPT)
			close(kept[i % KEPT]);
		kept[i % KEPT] = create_map();
	}
	_exit(0);
}

static void publish(void)
{
	pid_t child = clone_with(NEWBPF, SIGCHLD);

	if (!child) {
		pid_t maker = fork();

		if (!maker)
			make_maps();
		find(maker, "namespace");
		_exit(0);
	}
	find(child, "parent");
}

static void query(int pid)
{
	for (int fd = 0; fd < 16; fd++) {
		union bpf_attr attr = { .task_fd_query = { .pid = pid, .fd = fd } };

		if (!bpf(BPF_TASK_FD_QUERY, &attr))
			dprintf(1, "fd %d: prog %d\n", fd, attr.task_fd_query.prog_id);
		else if (errno != ENOENT)
			dprintf(1, "fd %d: %s\n", fd, strerrorname_np(errno));
	}
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";

	if (!strcmp(way, "publish")) {
		publish();
	} else if (!strcmp(way, "lost")) {
		int fd = create_map();

		dprintf(1, "fd %s, id %d, %s\n", fd > 2 ? "given" : "missing", map_id(fd), works(fd) ? "works" : "broken");
		getchar();
	} else if (!strcmp(way, "query") && argc > 2) {
		query(atoi(argv[2]));
	} else {
		return 2;
	}
	return 0;
}
