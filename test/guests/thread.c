/*
 * Makes trapped calls on a thread that is not the first of its process:
 *   thread list     prints the ids of the visible maps
 *   thread info     creates a map and prints its id
 *   thread own-fds  the same, with an fd table of its own
 *   thread unshare  enters a new BPF namespace, then creates a map and lists
 *   thread clone3   the same in a child made by clone3()
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLONE_NEWBPF 0x400000000ULL

static const char *mode;
static int status, thread_errno;

static int list(void)
{
	__u32 id = 0;

	while (!bpf_map_get_next_id(id, &id))
		printf("%u\n", id);
	fflush(stdout);
	return errno == ENOENT ? 0 : 1;
}

static int create_and_list(void)
{
	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "of_thread", 4, 4, 1, NULL) < 0 || list();
}

static int info(void)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "of_thread", 4, 4, 1, NULL);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
		return 1;
	printf("%u\n", info.id);
	fflush(stdout);
	return 0;
}

static int in_child(void)
{
	uint64_t args[11] = { CLONE_NEWBPF, [4] = SIGCHLD };
	int wait_status = 1;
	long pid = syscall(SYS_clone3, args, sizeof(args));

	if (pid == 0)
		_exit(create_and_list());
	return pid < 0 || waitpid(pid, &wait_status, 0) != pid || wait_status != 0;
}

static void *thread(void *unused)
{
	if (!strcmp(mode, "list"))
		status = list();
	else if (!strcmp(mode, "info"))
		status = info();
	else if (!strcmp(mode, "own-fds"))
		status = unshare(CLONE_FILES) || info();
	else if (!strcmp(mode, "unshare"))
		status = syscall(SYS_unshare, CLONE_NEWBPF) || create_and_list();
	else
		status = in_child();
	thread_errno = errno;
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t id;

	mode = argc > 1 ? argv[1] : "list";
	if (pthread_create(&id, NULL, thread, NULL) || pthread_join(id, NULL))
		return 1;
	if (status)
		fprintf(stderr, "%s: %s\n", mode, strerror(thread_errno));
	return status;
}
