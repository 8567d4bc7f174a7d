/*
 * attacks WHAT ARG...: what a hostile guest might try, each as short as it can be.
 *
 * ids				the first id that is listed, or the error
 * edge				attrs at the edge of a page: an error number each
 * userfault			an attr in memory that nobody ever fills
 * stacked errno|trace|kill	a filter of its own above ours, then a listing
 * listener			a listener of its own above ours, which would let calls continue
 * stop COUNT			a child that lists ids, stopped and traced COUNT times meanwhile
 * files			a map made in a child namespace that shares the table of fds
 * dup FD			eight threads that create maps and put FD, a foreign map, over them
 * link OWN FOREIGN LINK	opens LINK while it is exchanged between two pins
 * chdir OWN FOREIGN		opens "pin" while another thread changes the directory
 * chroot OWN FOREIGN		opens "/pin" while another thread changes the root
 * mount OWN FOREIGN PLACE	opens "PLACE/pin" while another thread mounts FOREIGN there, and unmounts it
 * pivot OWN FOREIGN		opens "/pin" while another thread exchanges the root of the mount namespace
 * take PID FD			a copy of a fd of another process, and its id
 */
#include "bpf.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <time.h>

#define PAGE 4096
#define ROUNDS 200

static volatile int over;

static const char *outcome(long result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

static long list_at(void *attr, unsigned int size)
{
	return syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, attr, size);
}

static void edge(void)
{
	char *page =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(page + PAGE, PAGE);
	create_map();
	for (unsigned int size = 8; size <= 16; size += 4)
		for (unsigned int room = 4; room <= 16; room += 4) {
			char *attr = page + PAGE - room;

			memset(attr, 0, room);
			printf("size %u, room %u: %s\n", size, room, outcome(list_at(attr, size)));
		}
	printf("no address: %s\n", outcome(list_at(NULL, 12)));
	printf("of the kernel: %s\n", outcome(list_at((void *)0xffff888000000000UL, 12)));
	printf("not canonical: %s\n", outcome(list_at((void *)0x8000000000000000UL, 12)));
}

static void userfault(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = { .range = { (uintptr_t)page, PAGE },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		perror("userfaultfd");
	printf("%s\n", outcome(list_at(page, 12)));
}

static int filter_bpf(unsigned int action, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void stacked(const char *how)
{
	pid_t child;
	int status;

	create_map();
	child = fork();
	if (child == 0) {
		unsigned int action = !strcmp(how, "errno") ? SECCOMP_RET_ERRNO | EXDEV :
				      !strcmp(how, "trace") ? SECCOMP_RET_TRACE :
							      SECCOMP_RET_KILL_PROCESS;

		if (filter_bpf(action, 0))
			perror("filter");
		printf("%s\n", outcome(next_map(0)));
		exit(0);
	}
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s\n", sigabbrev_np(WTERMSIG(status)));
	printf("the parent: %s\n", outcome(next_map(0)));
}

/* Whoever holds the listener of the filter on top decides about all calls that both trap. */
static void listener(void)
{
	create_map();
	printf("listener: %s\n",
	       outcome(filter_bpf(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER)));
	/* Nobody listens to that: without a listener it is ENOSYS. */
	printf("filter: %s\n", outcome(filter_bpf(SECCOMP_RET_USER_NOTIF, 0)));
	printf("listed: %s\n", outcome(next_map(0)));
}

static void stop(int count)
{
	pid_t child;
	int status, stops = 0;

	create_map();
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 20 * ROUNDS; i++)
			if (next_map(0) < 0)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < count; i++) {
		if (i % 2 == 0) {
			kill(child, SIGSTOP);
			usleep(500);
			kill(child, SIGCONT);
			continue;
		}
		if (ptrace(PTRACE_SEIZE, child, NULL, NULL) ||
		    ptrace(PTRACE_INTERRUPT, child, NULL, NULL))
			break;
		if (waitpid(child, &status, __WALL) != child || !WIFSTOPPED(status))
			break;
		stops++;
		ptrace(PTRACE_DETACH, child, NULL, NULL);
	}
	printf("stops %s, status %d\n", stops > 0 ? "some" : "none", status_of(child));
}

static void files(void)
{
	int first = create_map(), fd;
	pid_t child = syscall(SYS_clone, CLONE_FILES | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);

	if (child == 0) {
		if (syscall(SYS_unshare, NEWBPF))
			_exit(255);
		fd = create_map();
		/* Named by what it is called there; the fd stays in the common table. */
		_exit(map_id(fd) == 1 && next_map(1) < 0 ? fd : 254);
	}
	fd = status_of(child);
	printf("first %d, the child's %d\n", map_id(first), map_id(fd));
}

static int foreign;

static void *create(void *unused)
{
	while (!over) {
		int fd = create_map();

		if (fd >= 0)
			close(fd);
	}
	return unused;
}

static void *cover(void *unused)
{
	while (!over)
		for (int fd = foreign + 1; fd < foreign + 12; fd++)
			dup2(foreign, fd);
	return unused;
}

static void run_for_a_moment(void *(*one)(void *), void *(*other)(void *), int each)
{
	pthread_t threads[16];

	for (int i = 0; i < each; i++) {
		pthread_create(&threads[2 * i], NULL, one, NULL);
		pthread_create(&threads[2 * i + 1], NULL, other, NULL);
	}
	usleep(700 * 1000);
	over = 1;
	for (int i = 0; i < 2 * each; i++)
		pthread_join(threads[i], NULL);
}

static const char *own_path, *foreign_path, *link_path;

static void *exchange(void *unused)
{
	char other[256];

	snprintf(other, sizeof(other), "%s-other", link_path);
	if (symlink(own_path, link_path) || symlink(foreign_path, other))
		perror("symlink");
	while (!over)
		syscall(SYS_renameat2, AT_FDCWD, link_path, AT_FDCWD, other,
			2 /* RENAME_EXCHANGE */);
	unlink(link_path);
	unlink(other);
	return unused;
}

static void *change_directory(void *unused)
{
	while (!over)
		if (chdir(own_path) || chdir(foreign_path))
			perror("chdir");
	return unused;
}

static void *change_root(void *unused)
{
	int own = open(own_path, O_PATH), other = open(foreign_path, O_PATH);

	while (!over)
		if (fchdir(own) || chroot(".") || fchdir(other) || chroot("."))
			perror("chroot");
	return unused;
}

static void *change_mount(void *unused)
{
	while (!over)
		if (mount(foreign_path, link_path, NULL, MS_BIND, NULL) ||
		    umount2(link_path, MNT_DETACH))
			perror("mount");
	return unused;
}

/*
 * Both are mounts with a directory "old" each. The first becomes the root, and the other is put onto
 * the former root, which is at /old then: from there on each exchange looks the same.
 */
static void exchange_roots_first(void)
{
	char old[256];

	snprintf(old, sizeof(old), "%s/old", own_path);
	if (mount(own_path, own_path, NULL, MS_BIND, NULL) || chdir(own_path) ||
	    mount(foreign_path, "/", NULL, MS_BIND, NULL) ||
	    syscall(SYS_pivot_root, own_path, old) || chdir("/"))
		perror("pivot_root");
}

static void *exchange_roots(void *unused)
{
	while (!over)
		if (syscall(SYS_pivot_root, "/old", "/old/old"))
			perror("pivot_root");
	return unused;
}

/* Opens it again and again: whatever is handed over must be visible here. */
static void open_while(void *(*meanwhile)(void *), const char *path)
{
	union bpf_attr attr = { .pathname = (uintptr_t)path };
	int opened = 0, refused = 0, leaked = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, meanwhile, NULL);
	for (int i = 0; i < ROUNDS || ((opened == 0 || refused == 0) && i < 50 * ROUNDS); i++) {
		int fd = bpf(BPF_OBJ_GET, &attr);

		if (fd < 0) {
			refused += errno == EPERM;
			continue;
		}
		opened++;
		leaked += map_id(fd) <= 0;
		close(fd);
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("opened %s, refused %s, leaked %d\n", opened ? "some" : "none",
	       refused ? "some" : "none", leaked);
}

static void take(int pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	printf("%s", outcome(copy));
	if (copy >= 0)
		printf(", id %d, by id %s", map_id(copy), outcome(next_map(0)));
	puts("");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	char pin[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "ids")) {
		int id = next_map(0);

		printf("uid %d: ", geteuid());
		puts(id < 0 ? strerrorname_np(errno) : "listed");
	} else if (!strcmp(what, "edge")) {
		edge();
	} else if (!strcmp(what, "userfault")) {
		userfault();
	} else if (!strcmp(what, "stacked") && argc > 2) {
		stacked(argv[2]);
	} else if (!strcmp(what, "stop") && argc > 2) {
		stop(atoi(argv[2]));
	} else if (!strcmp(what, "files")) {
		files();
	} else if (!strcmp(what, "dup") && argc > 2) {
		foreign = atoi(argv[2]);
		run_for_a_moment(create, cover, 4);
		printf("id of the foreign map: %d\n", map_id(foreign));
	} else if (!strcmp(what, "link") && argc > 4) {
		own_path = argv[2], foreign_path = argv[3], link_path = argv[4];
		open_while(exchange, link_path);
	} else if (!strcmp(what, "chdir") && argc > 3) {
		own_path = argv[2], foreign_path = argv[3];
		open_while(change_directory, "pin");
	} else if (!strcmp(what, "chroot") && argc > 3) {
		own_path = argv[2], foreign_path = argv[3];
		open_while(change_root, "/pin");
	} else if (!strcmp(what, "mount") && argc > 4) {
		own_path = argv[2], foreign_path = argv[3], link_path = argv[4];
		if (mount(own_path, link_path, NULL, MS_BIND, NULL))
			perror("mount");
		snprintf(pin, sizeof(pin), "%s/pin", link_path);
		open_while(change_mount, pin);
	} else if (!strcmp(what, "pivot") && argc > 3) {
		own_path = argv[2], foreign_path = argv[3];
		exchange_roots_first();
		open_while(exchange_roots, "/pin");
	} else if (!strcmp(what, "listener")) {
		listener();
	} else if (!strcmp(what, "take") && argc > 3) {
		take(atoi(argv[2]), atoi(argv[3]));
	} else {
		return 2;
	}
	return 0;
}
