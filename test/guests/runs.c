/*
 * What BPF_PROG_RUN of a program makes, and what it does not. OBJECT is runs.bpf.o.
 *
 * runs skeleton OBJECT: runs a light skeleton's loader; prints the ids of its map and of the
 * map's BTF, and whether each opens.
 * runs faulty OBJECT: as that, with an attr that the kernel cannot write its result to.
 * runs victim SOCKET: on the host; makes a map for whoever connects by a 32-bit system call,
 * which no hook sees, and hands over its fd.
 * runs claim OBJECT SOCKET: while a run is under way, loads a program that uses that map; prints
 * what the map is called after the run.
 * runs squeeze OBJECT: as that, with a map that another namespace made while the budget of both was
 * used up, and with one of its own made then; there is room again before the run ends.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "guest.h"

enum { WAITS = 1, TOLD, MOST = 900 };

static struct bpf_object *object;

static int program(const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

static void open_object(const char *path)
{
	object = bpf_object__open_file(path, NULL);
	must(object && !bpf_object__load(object) ? 0 : -1, "load");
}

static void tell_skeleton(int map)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	must(map, "the loader");
	must(bpf_obj_get_info_by_fd(map, &info, &length), "info");
	printf("map %u %s\n", info.id,
	       bpf_map_get_fd_by_id(info.id) < 0 ? "does not open" : "opens");
	printf("btf %u %s\n", info.btf_id,
	       bpf_btf_get_fd_by_id(info.btf_id) < 0 ? "does not open" : "opens");
}

/* The result would be written to a page that is read-only. The BTF gets the lowest free fd, the map
 * the one after it. */
static int run_faulty(int fd)
{
	union bpf_attr *attr =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int btf = dup(0), map = dup(0);

	close(btf);
	close(map);
	attr->test.prog_fd = fd;
	mprotect(attr, 4096, PROT_READ);
	if (bpf(BPF_PROG_TEST_RUN, attr) == 0 || errno != EFAULT)
		return -1;
	return map;
}

static void *run_until_told(void *unused)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	must(bpf_prog_test_run_opts(program("last"), &opts), "run");
	return unused;
}

static int state_map(void)
{
	return bpf_map__fd(bpf_object__find_map_by_name(object, ".bss"));
}

static struct msghdr message_with(struct iovec *data, void *control, size_t size)
{
	return (struct msghdr){
		.msg_iov = data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = size
	};
}

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static int bpf_32(int cmd, void *attr, unsigned int size)
{
	long result = -ENOSYS;

#ifdef __x86_64__
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(357), "b"(cmd), "c"(attr), "d"(size)
		     : "memory", "r8", "r9", "r10", "r11");
#endif
	if (result >= 0)
		return (int)result;
	errno = -(int)result;
	return -1;
}

/* Other architectures have no such flag, and no such calls in 64-bit processes. */
#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

static void victim(int listener)
{
	union bpf_attr *attr = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	union control control = {};
	struct iovec data = { "x", 1 };
	struct msghdr message = message_with(&data, &control, sizeof(control));
	int client, map;

	printf("ready\n");
	fflush(stdout);
	client = must(accept(listener, NULL, NULL), "accept");
	attr->map_type = BPF_MAP_TYPE_ARRAY;
	attr->key_size = 4;
	attr->value_size = 4;
	attr->max_entries = 1;
	map = must(bpf_32(BPF_MAP_CREATE, attr, sizeof(*attr)), "32-bit call");
	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(map)),
					   .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &map, sizeof(map));
	must(sendmsg(client, &message, 0), "sendmsg");
	must(read(0, attr, 1), "stdin");
}

/* Until the budget is used up: how many maps are open. */
static int use_up(int *maps, int most)
{
	int count = 0;

	do
		maps[count] = create_map(BPF_MAP_TYPE_ARRAY, "fill", 0);
	while (id_of(maps[count++], 0) && count < most);
	return count;
}

/* In a child namespace: makes a map whenever asked, and hands it over with its id there. */
static void serve(int sock)
{
	union control control = {};
	uint32_t id;
	struct iovec data = { &id, sizeof(id) };
	struct msghdr message = message_with(&data, &control, sizeof(control));
	int map;

	must(syscall(SYS_unshare, 0x400000000), "unshare");
	must(write(sock, "r", 1), "ready");
	must(read(sock, &id, 1), "asked");
	map = create_map(BPF_MAP_TYPE_ARRAY, "victim", 0);
	id = id_of(map, 0);
	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(map)),
					   .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &map, sizeof(map));
	must(sendmsg(sock, &message, 0), "sendmsg");
	must(read(sock, &id, 1), "end");
	exit(0);
}

static int load_user(int map)
{
	return load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "user", map);
}

static void squeeze(void)
{
	int ends[2], fill[MOST], count, map, own, user, key = 0;
	/* An emulated machine takes minutes. */
	time_t end = time(NULL) + 600;
	union control control = {};
	uint32_t id;
	struct iovec data = { &id, sizeof(id) };
	struct msghdr message = message_with(&data, &control, sizeof(control));
	struct {
		int state;
		char rest[60];
	} bss = {};
	pthread_t runner;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
	if (!must(fork(), "fork"))
		serve(ends[1]);
	must(read(ends[0], &id, 1), "ready");
	/*
	 * Makes room for all fds before there is a second thread. Later the kernel would wait for RCU
	 * (expand_fdtable()), and so for the program, if it does not preempt tasks inside itself.
	 */
	must(close(must(dup2(0, MOST + 64), "dup2")), "close");
	must(-pthread_create(&runner, NULL, run_until_told, NULL), "thread");
	do
		must(bpf_map_lookup_elem(state_map(), &key, &bss), "state");
	while (bss.state != WAITS);
	count = use_up(fill, MOST);
	must(write(ends[0], "m", 1), "ask");
	must(recvmsg(ends[0], &message, 0), "recvmsg");
	memcpy(&map, CMSG_DATA(&control.header), sizeof(map));
	own = create_map(BPF_MAP_TYPE_ARRAY, "own", 0);
	printf("at first %u and %u\n", id, id_of(own, 0));
	while (count > 0)
		close(fill[--count]);
	/* The agent has to find that they are gone. */
	for (user = load_user(map); !id_of(user, 0) && time(NULL) < end; user = load_user(map))
		close(user);
	load_user(own);
	bss.state = TOLD;
	must(bpf_map_update_elem(state_map(), &key, &bss, 0), "tell");
	pthread_join(runner, NULL);
	printf("the program is %s, the maps are %u and %u\n", id_of(user, 0) ? "here" : "not here",
	       id_of(map, 0), id_of(own, 0));
	must(write(ends[0], "e", 1), "end");
}

static void claim(int sock, struct sockaddr_un *address)
{
	union control control = {};
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = message_with(&data, &control, sizeof(control));
	struct {
		int state;
		char rest[60];
	} bss = {};
	pthread_t runner;
	int key = 0, map, user;

	must(-pthread_create(&runner, NULL, run_until_told, NULL), "thread");
	do
		must(bpf_map_lookup_elem(state_map(), &key, &bss), "state");
	while (bss.state != WAITS);
	must(connect(sock, (struct sockaddr *)address, sizeof(*address)), "connect");
	must(recvmsg(sock, &message, 0), "recvmsg");
	memcpy(&map, CMSG_DATA(&control.header), sizeof(map));
	user = load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "user", map);
	bss.state = TOLD;
	must(bpf_map_update_elem(state_map(), &key, &bss, 0), "tell");
	pthread_join(runner, NULL);
	printf("the program is %s, the map that it uses is %u\n",
	       id_of(user, 0) ? "here" : "not here", id_of(map, 0));
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock;

	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "victim"))
		open_object(argv[2]);
	if (!strcmp(argv[1], "skeleton")) {
		must(bpf_prog_test_run_opts(program("load"), &opts), "run");
		tell_skeleton(opts.retval);
		return 0;
	}
	if (!strcmp(argv[1], "faulty")) {
		tell_skeleton(must(run_faulty(program("load")), "run"));
		return 0;
	}
	if (!strcmp(argv[1], "squeeze")) {
		squeeze();
		return 0;
	}
	strncpy(address.sun_path, argv[argc - 1], sizeof(address.sun_path) - 1);
	sock = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	if (!strcmp(argv[1], "claim")) {
		claim(sock, &address);
		return 0;
	}
	must(bind(sock, (struct sockaddr *)&address, sizeof(address)), "bind");
	must(chmod(address.sun_path, 0666), "chmod");
	must(listen(sock, 1), "listen");
	victim(sock);
	return 0;
}
