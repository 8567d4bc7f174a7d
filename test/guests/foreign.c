/*
 * foreign WHAT FD HOSTID: what a hostile guest builds upon an object of somebody else, whose fd it
 * was handed. HOSTID is what the host calls the object.
 *
 * inner		FD is a map: put into a map of maps
 * target		FD is a program with BTF: the target of a tracing program
 * install		FD is a map: io_uring installs copies of it while maps are created
 */
#include "bpf.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/mman.h>

/* IORING_OP_FIXED_FD_INSTALL, since Linux 6.8. */
#define FIXED_FD_INSTALL 54
#define FIRST_FD 20
#define LAST_FD 32

static const char *outcome(long result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

static int last_map(void)
{
	int last = 0;

	for (int next = 0; (next = next_map(next)) > 0;)
		last = next;
	return last;
}

static void inner(int fd, int host_id)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
				.key_size = 4,
				.value_size = 4,
				.max_entries = 1,
				.inner_map_fd = fd };
	int outer = bpf(BPF_MAP_CREATE, &attr), key = 0, found = 0;

	printf("created: %s\n", outcome(outer));
	attr = (union bpf_attr){ .map_fd = outer, .key = (uintptr_t)&key, .value = (uintptr_t)&fd };
	printf("put in: %s\n", outcome(bpf(BPF_MAP_UPDATE_ELEM, &attr)));
	attr.value = (uintptr_t)&found;
	printf("looked up: %s\n", outcome(bpf(BPF_MAP_LOOKUP_ELEM, &attr)));
	printf("opens: %s, %s\n", outcome(open_map(found)), outcome(open_map(host_id)));
	printf("ids: outer %d, foreign %d, last %d\n", map_id(outer), map_id(fd), last_map());
}

static int load_on(int target, int function)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_TRACING,
		.expected_attach_type = BPF_TRACE_FENTRY,
		.insns = (uintptr_t)code,
		.insn_cnt = 2,
		.license = (uintptr_t) "GPL",
		.attach_prog_fd = target,
		.attach_btf_id = function,
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static void info_of(int fd, void *info, unsigned int size)
{
	union bpf_attr attr = { .info = {
					.bpf_fd = fd, .info_len = size, .info = (uintptr_t)info } };

	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		perror("info");
}

static void target(int fd, int host_id)
{
	struct bpf_prog_info program = {}, theirs = {};
	struct bpf_link_info link = {};
	union bpf_attr attr = {};
	int own = -1, attached;

	for (int function = 1; own < 0 && function < 64; function++)
		own = load_on(fd, function);
	printf("loaded: %s\n", outcome(own));
	if (own < 0)
		return;
	attr.raw_tracepoint.prog_fd = own;
	attached = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	printf("attached: %s\n", outcome(attached));
	info_of(fd, &theirs, sizeof(theirs));
	info_of(own, &program, sizeof(program));
	info_of(attached, &link, sizeof(link));
	printf("ids: foreign %u, its BTF %u, its BTF as target %u, target of the link %u\n",
	       theirs.id, theirs.btf_id, program.attach_btf_obj_id, link.tracing.target_obj_id);
	attr = (union bpf_attr){ .prog_id = host_id };
	printf("opens: %s\n", outcome(bpf(BPF_PROG_GET_FD_BY_ID, &attr)));
}

static volatile int over;

static void *create(void *unused)
{
	while (!over)
		create_map();
	return unused;
}

struct ring {
	int fd;
	struct io_uring_params params;
	char *entries;
	struct io_uring_sqe *calls;
};

static int open_ring(struct ring *ring, int file)
{
	int flags = MAP_SHARED | MAP_POPULATE;

	ring->fd = syscall(SYS_io_uring_setup, 2, &ring->params);
	if (ring->fd < 0)
		return -1;
	ring->entries =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, ring->fd, IORING_OFF_SQ_RING);
	ring->calls = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, ring->fd, IORING_OFF_SQES);
	if (ring->entries == MAP_FAILED || ring->calls == MAP_FAILED)
		return -1;
	return syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES, &file, 1);
}

static unsigned int *at(struct ring *ring, unsigned int offset)
{
	return (unsigned int *)(ring->entries + offset);
}

/* A new fd of the ring's file, or -errno. */
static int install(struct ring *ring)
{
	unsigned int tail = *at(ring, ring->params.sq_off.tail);
	unsigned int *head = at(ring, ring->params.cq_off.head);
	struct io_uring_cqe *results = (void *)(ring->entries + ring->params.cq_off.cqes);
	int result;

	ring->calls[0] =
		(struct io_uring_sqe){ .opcode = FIXED_FD_INSTALL, .flags = IOSQE_FIXED_FILE };
	at(ring, ring->params.sq_off.array)[tail & 1] = 0;
	__atomic_store_n(at(ring, ring->params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -errno;
	result = results[*head & *at(ring, ring->params.cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Numbers are freed under the creating threads, and the ring's file takes some of them. */
static void install_for_a_moment(int fd)
{
	struct ring ring = {};
	pthread_t threads[4];
	int count = 0, first;

	if (open_ring(&ring, fd) || (first = install(&ring)) < 0) {
		puts("unsupported");
		return;
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, create, NULL);
	for (int i = 0; i < 5000; i++) {
		for (int each = FIRST_FD; each < LAST_FD; each++)
			close(each);
		count += install(&ring) >= 0;
	}
	over = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("installed %s, ids: foreign %d, %d\n", count ? "some" : "none", map_id(fd),
	       map_id(first));
}

int main(int argc, char **argv)
{
	int fd = argc > 3 ? atoi(argv[2]) : -1, host_id = argc > 3 ? atoi(argv[3]) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4)
		return 2;
	if (!strcmp(argv[1], "inner"))
		inner(fd, host_id);
	else if (!strcmp(argv[1], "target"))
		target(fd, host_id);
	else if (!strcmp(argv[1], "install"))
		install_for_a_moment(fd);
	else
		return 2;
	return 0;
}
