/*
 * What an observer could see of the mistakes of the RFC. Usage: observe WAY
 *   publish COUNT SECONDS  one process makes and closes maps, others find so many of them by id, here and below
 *   lost                   makes a map and tells its fd, id, and whether it works
 *   query PID              asks for the programs behind the first fds of another process
 *   churn COUNT            makes and drops so many maps as fast as it can, and tells the next one's id
 */
#include "bpf.h"
#include <time.h>

/* How many maps live at a time, so that some live long enough to be met. */
#define KEPT 256

static int works(int fd)
{
	__u32 key = 0, value = 7;
	union bpf_attr attr = { .map_fd = fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	return !bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* Every id that is listed is an object's of that id, or gone again. A maker that is too quick leaves none to be found. */
static void find(const char *where, int enough, int seconds)
{
	int found = 0, wrong = 0, id = 0;

	for (time_t end = time(NULL) + seconds; found < enough && time(NULL) < end;) {
		id = next_map(id > 0 ? id : 0);
		if (id < 0)
			continue;
		int fd = open_map(id);

		found += fd >= 0;
		wrong += fd >= 0 ? map_id(fd) != id : errno != ENOENT;
		if (fd >= 0)
			close(fd);
	}
	dprintf(1, "%s: %s, %d wrong\n", where, found >= enough ? "found" : "found too few", wrong);
}

/* Until it is killed. */
static void make_maps(void)
{
	int kept[KEPT];

	for (int i = 0;; i++) {
		if (i >= KEPT)
			close(kept[i % KEPT]);
		kept[i % KEPT] = create_map();
		usleep(100);
	}
}

static void publish(int count, int seconds)
{
	char end;
	int done[2];

	if (pipe(done))
		return;
	pid_t child = clone_in_namespace(0);

	if (!child) {
		close(done[1]);
		pid_t maker = fork();

		if (!maker)
			make_maps();
		find("namespace", count, seconds);
		if (read(done[0], &end, 1) == 0)
			kill(maker, SIGKILL);
		_exit(0);
	}
	find("parent", count, seconds);
	close(done[1]);
	waitpid(child, NULL, 0);
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

	if (!strcmp(way, "publish") && argc > 3) {
		publish(atoi(argv[2]), atoi(argv[3]));
	} else if (!strcmp(way, "lost")) {
		int fd = create_map();

		dprintf(1, "fd %s, id %d, %s\n", fd > 2 ? "given" : "missing", map_id(fd),
			works(fd) ? "works" : "broken");
		getchar();
	} else if (!strcmp(way, "churn") && argc > 2) {
		for (int i = atoi(argv[2]); i > 0; i--)
			close(create_map());
		dprintf(1, "id %d\n", new_map());
	} else if (!strcmp(way, "query") && argc > 2) {
		query(atoi(argv[2]));
	} else {
		return 2;
	}
	return 0;
}
