/*
 * What a guest with CAP_BPF alone makes of descriptors from outside.
 *
 * outside give CMD ARG...	as root: opens an event on a tracepoint, an event with a buffer and a
 *	program with a map, and becomes the parent of CMD, which has them as $EVENT, $BUFFER and
 *	$PROGRAM. Calls getppid(2) until CMD has ended. Prints then how often the program ran, and
 *	the longest sample in the buffer.
 * outside take			tries each: NAME ERRNO [VALUE]
 *
 * $TRACEPOINT is the id of syscalls:sys_enter_getppid.
 */
#include "guest.h"
#include "load.h"
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LOOKUP 1
#define TAIL_CALL 12
#define CALLS 7
#define PAGE 4096

static int open_event(struct perf_event_attr attr, int pid, int cpu)
{
	attr.size = sizeof(attr);
	return must(syscall(SYS_perf_event_open, &attr, pid, cpu, -1, 0), "event");
}

static int tracepoint(int pid, int cpu)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT,
					.config = atoi(getenv("TRACEPOINT")),
					.sample_period = pid < 0 };

	return open_event(attr, pid, cpu);
}

/* Its samples have nothing in them. */
static int timer(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.config = PERF_COUNT_SW_CPU_CLOCK,
					.sample_freq = 1000,
					.freq = 1 };

	return open_event(attr, -1, 0);
}

static void *map_buffer(int event)
{
	return mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
}

/* A program of a tracepoint that counts its runs in the first value of a map. */
static int counter(int map)
{
	struct bpf_insn code[] = { INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
				   COPY(2, 10),
				   ADD(2, -4),
				   MAP(1, map),
				   CALL(LOOKUP),
				   IF_ZERO(0, 2),
				   MOV(1, 1),
				   INSN(BPF_STX | BPF_ATOMIC | BPF_W, 0, 1, 0, BPF_ADD),
				   MOV(0, 0),
				   EXIT };
	union bpf_attr attr;

	prepare_load(&attr, BPF_PROG_TYPE_TRACEPOINT, code, sizeof(code) / sizeof(*code));
	return must(bpf(BPF_PROG_LOAD, &attr), log_text);
}

static uint32_t first_of(int map)
{
	uint32_t key = 0, value = 0;
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	must(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "look-up");
	return value;
}

static void set_number(const char *name, int fd)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", fd);
	setenv(name, text, 1);
}

static int give(char **command)
{
	int map = create_map(BPF_MAP_TYPE_ARRAY, "foreign", 0), program = counter(map);
	int event = tracepoint(-1, 0), output = timer();
	struct perf_event_mmap_page *buffer = map_buffer(output);
	unsigned int longest = 0;
	pid_t child;

	ioctl(output, PERF_EVENT_IOC_DISABLE, 0);
	buffer->data_tail = buffer->data_head;
	child = fork();
	if (child == 0) {
		/* Copies stay open in what is executed. */
		set_number("EVENT", dup(event));
		set_number("BUFFER", dup(output));
		set_number("PROGRAM", dup(program));
		execvp(command[0], command);
		_exit(127);
	}
	while (waitpid(child, NULL, WNOHANG) == 0) {
		syscall(SYS_getppid);
		usleep(1000);
	}
	for (uint64_t at = buffer->data_tail; at < buffer->data_head && at < PAGE;) {
		struct perf_event_header *sample = (void *)((char *)buffer + PAGE + at);

		if (!sample->size)
			break;
		if (sample->size > longest)
			longest = sample->size;
		at += sample->size;
	}
	printf("foreign runs %u longest %u\n", first_of(map), longest);
	return 0;
}

static void tell(const char *name, int result)
{
	printf("%s %d\n", name, result < 0 ? errno : 0);
}

static void call(void)
{
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
}

static void try_buffer(int output)
{
	int own = timer();

	map_buffer(own);
	tell("foreign-into-own-buffer", ioctl(output, PERF_EVENT_IOC_SET_OUTPUT, own));
	own = timer();
	tell("own-into-foreign-buffer", ioctl(own, PERF_EVENT_IOC_SET_OUTPUT, output));
	usleep(100 * 1000);
	close(own);
}

static void try_filter(void)
{
	int with = tracepoint(0, -1), without = tracepoint(0, -1);
	uint64_t seen = 0, all = 0;

	tell("filter", ioctl(with, PERF_EVENT_IOC_SET_FILTER, "common_pid == 0"));
	call();
	must(read(with, &seen, sizeof(seen)), "count");
	must(read(without, &all, sizeof(all)), "count");
	printf("filtered 0 %d of %d\n", (int)seen, (int)all);
	close(with);
	close(without);
}

static void try_bind(int own_map, int program)
{
	int outer = create_map(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", own_map);
	union bpf_attr attr = { .prog_bind_map = { .prog_fd = program, .map_fd = outer } };
	struct bpf_insn code[64];
	struct bpf_prog_info info = {}, after = { .xlated_prog_insns = (uintptr_t)code,
						  .xlated_prog_len = sizeof(code) };
	union bpf_attr ask = {
		.info = { .bpf_fd = program, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &ask), "info");
	tell("bind", bpf(BPF_PROG_BIND_MAP, &attr));
	ask.info.info = (uintptr_t)&after;
	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &ask), "info");
	printf("bound 0 %u maps more, %d instructions more\n", after.nr_map_ids - info.nr_map_ids,
	       (int)(after.xlated_prog_len - info.xlated_prog_len));
}

static void try_update(int program, int foreign)
{
	int event = tracepoint(0, -1);
	union bpf_attr attr = { .link_create = { .prog_fd = program,
						 .target_fd = event,
						 .attach_type = BPF_PERF_EVENT } };
	int link = must(bpf(BPF_LINK_CREATE, &attr), "link");

	attr = (union bpf_attr){ .link_update = { .link_fd = link, .new_prog_fd = foreign } };
	tell("link-update", bpf(BPF_LINK_UPDATE, &attr));
	close(link);
	close(event);
}

/* A checked program that goes on with the foreign one. */
static void try_tail_call(int foreign)
{
	int array = create_map(BPF_MAP_TYPE_PROG_ARRAY, "array", 0), event = tracepoint(0, -1);
	struct bpf_insn code[] = { MAP(2, array), MOV(3, 0), CALL(TAIL_CALL), MOV(0, 0), EXIT };
	union bpf_attr attr;
	int program;

	prepare_load(&attr, BPF_PROG_TYPE_TRACEPOINT, code, sizeof(code) / sizeof(*code));
	program = must(bpf(BPF_PROG_LOAD, &attr), log_text);
	tell("into-array", update_map(array, 0, foreign));
	must(ioctl(event, PERF_EVENT_IOC_SET_BPF, program), "attach");
	call();
	close(event);
}

/* The event is on the tracepoint of all tasks; the program counts on. */
static void try_event(int event, int own_map, int program)
{
	uint32_t before = first_of(own_map);

	tell("own-on-foreign-event", ioctl(event, PERF_EVENT_IOC_SET_BPF, program));
	call();
	usleep(100 * 1000);
	printf("own-runs 0 %u\n", first_of(own_map) - before);
}

static int take(void)
{
	int event = atoi(getenv("EVENT")), output = atoi(getenv("BUFFER"));
	int foreign = atoi(getenv("PROGRAM")), own_map = create_map(BPF_MAP_TYPE_ARRAY, "own", 0);
	int program = counter(own_map);

	setvbuf(stdout, NULL, _IOLBF, 0);
	try_buffer(output);
	try_filter();
	try_bind(own_map, program);
	try_update(program, foreign);
	try_event(event, own_map, program);
	try_tail_call(foreign);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "give"))
		return give(argv + 2);
	return argc == 2 && !strcmp(argv[1], "take") ? take() : 2;
}
