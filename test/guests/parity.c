/*
 * Loads parity.bpf.o (the argument) with libbpf, attaches its programs one by one, sets
 * each off and reads the ring buffer. Prints what came, free of numbers that vary.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "parity.h"

static int seen[PARITY_SOURCES];
static unsigned int last[PARITY_SOURCES];

static int on_report(void *ctx, void *data, size_t size)
{
	struct parity_report *report = data;

	(void)ctx, (void)size;
	seen[report->source]++;
	last[report->source] = report->value;
	return 0;
}

static struct bpf_link *attach(struct bpf_program *program)
{
	if (bpf_program__type(program) == BPF_PROG_TYPE_CGROUP_SKB)
		return bpf_program__attach_cgroup(program,
						  open(getenv("CGROUP"), O_RDONLY | O_CLOEXEC));
	if (bpf_program__type(program) == BPF_PROG_TYPE_XDP)
		return bpf_program__attach_xdp(program, if_nametoindex("lo"));
	if (bpf_program__type(program) == BPF_PROG_TYPE_PERF_EVENT) {
		struct perf_event_attr attr = {
			.type = PERF_TYPE_SOFTWARE,
			.size = sizeof(attr),
			.config = PERF_COUNT_SW_CPU_CLOCK,
			.sample_period = 100000,
		};

		return bpf_program__attach_perf_event(program,
						      syscall(SYS_perf_event_open, &attr, 0, -1, -1,
							      PERF_FLAG_FD_CLOEXEC));
	}
	return bpf_program__attach(program);
}

static void set_off(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PARITY_PORT) };
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	syscall(SYS_getppid);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sendto(udp, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to));
	close(udp);
	for (volatile int i = 0; i < 50000000; i++)
		;
}

static void print_seen(const char *name)
{
	printf("%s:", name);
	for (int i = 0; i < PARITY_SOURCES; i++) {
		int is_parent = last[i] == (unsigned int)getppid();

		/* How often the clock ticks varies. */
		if (seen[i])
			printf(" source %d, %d times, value %s%u", i,
			       i == PARITY_PERF_EVENT ? 1 : seen[i], is_parent ? "parent " : "",
			       is_parent ? 0 : last[i]);
	}
	printf("\n");
	memset(seen, 0, sizeof(seen));
	memset(last, 0, sizeof(last));
}

static void iterate(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link)), parent = 0;
	long length = read(fd, &parent, sizeof(parent));

	printf("iterator: %ld bytes, %s\n", length,
	       parent == getppid() ? "the parent" : "not the parent");
	close(fd);
}

int main(int argc, char **argv)
{
	struct bpf_object *object = bpf_object__open_file(argc > 1 ? argv[1] : "", NULL);
	struct bpf_program *program;
	struct ring_buffer *ring;
	struct bpf_map *map;

	libbpf_set_print(NULL);
	if (!object)
		return 1;
	bpf_object__for_each_map(map, object)
		if (strstr(bpf_map__name(map), ".rodata"))
			*(int *)bpf_map__initial_value(map, &(size_t){ 0 }) = getpid();
	if (bpf_object__load(object)) {
		printf("load: %m\n");
		return 1;
	}
	ring = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "reports"), on_report, NULL,
				NULL);
	bpf_object__for_each_program(program, object) {
		struct bpf_link *link = attach(program);

		if (!link) {
			printf("%s: attach: %m\n", bpf_program__name(program));
			continue;
		}
		if (bpf_program__type(program) == BPF_PROG_TYPE_TRACING &&
		    !strcmp(bpf_program__name(program), "on_task")) {
			iterate(link);
		} else {
			set_off();
			ring_buffer__poll(ring, 100);
			print_seen(bpf_program__name(program));
		}
		bpf_link__destroy(link);
	}
	ring_buffer__free(ring);
	bpf_object__close(object);
	return 0;
}
