/*
 * A guest that traces, with CAP_BPF alone: what is refused, with the first line of the log, and
 * what an event shows. "tracing hostile", "tracing perf", "tracing exchange", "tracing logs",
 * "tracing verified".
 */
#include "guest.h"
#include "load.h"
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define UPROBE_MULTI 48

static int load_as(int type, int attach, const struct bpf_insn *code, int count)
{
	union bpf_attr attr;

	prepare_load(&attr, type, code, count);
	attr.expected_attach_type = attach;
	return bpf(BPF_PROG_LOAD, &attr);
}

/* NAME ERRNO FIRST-LINE-OF-LOG */
static void tell(const char *name, int fd)
{
	int error = fd < 0 ? errno : 0;

	log_text[strcspn(log_text, "\n")] = 0;
	printf("%s %d %s\n", name, error, error ? log_text : "");
	if (fd >= 0)
		close(fd);
}

static void try_helper(int type, int id)
{
	struct bpf_insn code[] = { MOV(1, 0), CALL(id), MOV(0, 0), EXIT };
	char name[32];

	snprintf(name, sizeof(name), "helper-%d", id);
	tell(name, load_as(type, 0, code, 4));
}

/* A program that ignores its context can be run, and attached to nothing. */
static void tell_raw_tracepoint(void)
{
	struct bpf_insn code[] = { MOV(0, 7), EXIT };
	int prog = load_as(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, code, 2);
	union bpf_attr run = { .test = { .prog_fd = prog } };
	union bpf_attr attr = { .raw_tracepoint = { .name = (uintptr_t) "sched_switch",
						    .prog_fd = prog } };
	int error = bpf(BPF_PROG_TEST_RUN, &run) ? errno : 0;

	printf("raw-run %d %u\n", error, run.test.retval);
	log_text[0] = 0;
	tell("raw-open", bpf(BPF_RAW_TRACEPOINT_OPEN, &attr));
	close(prog);
}

static void hostile(void)
{
	static const int helpers[] = { 6,   22,	 36,  55,  56,	58,  109, 113, 115, 117, 119, 141,
				       147, 149, 153, 154, 156, 158, 165, 166, 168, 169, 170, 171,
				       175, 176, 177, 179, 180, 191, 194, 210, 250, -1 };
	static const struct {
		int type, attach;
	} kinds[] = {
		{ BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, 0 },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY },
		{ BPF_PROG_TYPE_STRUCT_OPS, 0 },
		{ BPF_PROG_TYPE_EXT, 0 },
		{ BPF_PROG_TYPE_LSM, BPF_LSM_MAC },
		{ BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI },
		{ BPF_PROG_TYPE_KPROBE, UPROBE_MULTI },
	};
	struct bpf_insn plain[] = { MOV(0, 0), EXIT };
	struct bpf_insn kfunc[] = { INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, 1),
				    EXIT };
	struct bpf_insn ksym[] = { INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_BTF_ID, 0, 1),
				   INSN(0, 0, 0, 0, 0), MOV(0, 0), EXIT };
	struct bpf_insn gotox[] = { INSN(BPF_JMP | BPF_X, 1, 0, 0, 0), EXIT };
	struct bpf_insn back[] = { INSN(BPF_JMP | BPF_JA, 0, 0, -3, 0), EXIT };
	struct bpf_insn load[] = { INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 10, -8, 0), EXIT };
	struct bpf_insn after_call[] = { CALL(BPF_FUNC_get_current_task),
					 INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0), MOV(0, 0),
					 EXIT };
	struct bpf_insn after_stack[] = { INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
					  MOV(3, 8),
					  MOV(4, 0),
					  CALL(BPF_FUNC_get_stack),
					  INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
					  EXIT };
	struct bpf_insn raw[] = { INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0), EXIT };
	char name[32];

	for (size_t i = 0; i < sizeof(helpers) / sizeof(*helpers); i++)
		try_helper(BPF_PROG_TYPE_TRACEPOINT, helpers[i]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		snprintf(name, sizeof(name), "type-%d-%d", kinds[i].type, kinds[i].attach);
		tell(name, load_as(kinds[i].type, kinds[i].attach, plain, 2));
	}
	tell("type-17-with-context", load_as(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, raw, 2));
	tell_raw_tracepoint();
	/* Whatever becomes of the call, r1 is lost by it. */
	tell("context-after-call", load_as(BPF_PROG_TYPE_PERF_EVENT, 0, after_call, 4));
	tell("context-after-stack", load_as(BPF_PROG_TYPE_PERF_EVENT, 0, after_stack, 6));
	tell("kfunc", load_as(BPF_PROG_TYPE_TRACEPOINT, 0, kfunc, 2));
	tell("ksym", load_as(BPF_PROG_TYPE_TRACEPOINT, 0, ksym, 4));
	tell("indirect-jump", load_as(BPF_PROG_TYPE_TRACEPOINT, 0, gotox, 2));
	tell("jump-before-start", load_as(BPF_PROG_TYPE_TRACEPOINT, 0, back, 2));
	tell("nothing", load_as(BPF_PROG_TYPE_TRACEPOINT, 0, plain, 0));
	/* These the verifier itself judges, in the agent's name. */
	tell("uninitialised-stack",
	     load_as(BPF_PROG_TYPE_TRACEPOINT, 0, load, 2) >= 0 ? -1 : (errno = 0, 0));
	tell("plain", load_as(BPF_PROG_TYPE_TRACEPOINT, 0, plain, 2));
}

static int open_event(struct perf_event_attr *attr, int pid, int cpu)
{
	attr->size = sizeof(*attr);
	return syscall(SYS_perf_event_open, attr, pid, cpu, -1, 0);
}

static void tell_event(const char *name, struct perf_event_attr attr, int pid, int cpu)
{
	int fd = open_event(&attr, pid, cpu);

	printf("%s %d\n", name, fd < 0 ? errno : 0);
	if (fd >= 0)
		close(fd);
}

/* Whether a second of somebody else's activity is seen in an event's count or buffer. */
static void watch_event(const char *name, struct perf_event_attr attr)
{
	int fd = open_event(&attr, -1, 0);
	size_t page = sysconf(_SC_PAGESIZE);
	struct perf_event_mmap_page *buffer;
	uint64_t count = 0;

	if (fd < 0) {
		printf("%s %d\n", name, errno);
		return;
	}
	buffer = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	for (struct timespec left = { .tv_sec = 1 }; nanosleep(&left, &left);)
		;
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		count = -1;
	printf("%s 0 count %llu longest-sample %u\n", name, (unsigned long long)count,
	       buffer == MAP_FAILED || !buffer->data_head ?
		       0 :
		       ((struct perf_event_header *)((char *)buffer + page))->size);
	close(fd);
}

/* $TRACEPOINT is the id of syscalls:sys_enter_getppid, $SWITCH of sched:sched_switch. */
static void perf(void)
{
	int tracepoint = atoi(getenv("TRACEPOINT")), schedule = atoi(getenv("SWITCH"));
	struct perf_event_attr clock = { .type = PERF_TYPE_SOFTWARE, .sample_freq = 99, .freq = 1 };
	struct perf_event_attr raw = { .type = PERF_TYPE_TRACEPOINT,
				       .config = tracepoint,
				       .sample_period = 1 };
	struct perf_event_attr with;

	tell_event("sched_switch",
		   (struct perf_event_attr){ .type = PERF_TYPE_TRACEPOINT, .config = schedule }, -1,
		   0);
	tell_event("sched_switch-of-own",
		   (struct perf_event_attr){ .type = PERF_TYPE_TRACEPOINT, .config = schedule }, 0,
		   -1);
	tell_event("cycles", (struct perf_event_attr){ .type = PERF_TYPE_HARDWARE }, -1, 0);
	tell_event("page-faults",
		   (struct perf_event_attr){ .type = PERF_TYPE_SOFTWARE,
					     .config = PERF_COUNT_SW_PAGE_FAULTS },
		   -1, 0);
	tell_event("breakpoint",
		   (struct perf_event_attr){ .type = PERF_TYPE_BREAKPOINT, .bp_type = 1 }, -1, 0);
	with = (struct perf_event_attr){ .type = PERF_TYPE_SOFTWARE,
					 .config = PERF_COUNT_SW_BPF_OUTPUT,
					 .sample_type = PERF_SAMPLE_RAW | PERF_SAMPLE_TID };
	tell_event("output-with-ids", with, -1, 0);
	with.sample_type = PERF_SAMPLE_RAW;
	tell_event("output", with, -1, 0);
	with = clock;
	with.sample_freq = 100000;
	tell_event("fast-clock", with, -1, 0);
	/* Whatever samples are asked for. */
	clock.sample_type = raw.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_RAW |
					      PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_ADDR;
	clock.mmap = clock.comm = clock.task = raw.mmap = raw.comm = raw.task = 1;
	watch_event("clock", clock);
	watch_event("tracepoint", raw);
}

static volatile struct bpf_insn shared_code[3];
static volatile union bpf_attr shared_attr;
static volatile char shared_licence[] = "GPL";
static volatile int stop;

/* Changes instructions, type and licence while the agent looks. */
static void *exchange(void *unused)
{
	(void)unused;
	while (!stop) {
		shared_code[1] = CALL(109);
		shared_licence[0] = 'X';
		shared_attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
		shared_code[1] = CALL(5);
		shared_licence[0] = 'G';
		shared_attr.prog_type = BPF_PROG_TYPE_TRACEPOINT;
		shared_attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	}
	return NULL;
}

static void attack_by_exchange(void)
{
	int confined = 0, others = 0, wrong = 0;
	pthread_t thread;

	shared_code[0] = MOV(1, 9);
	shared_code[1] = CALL(5);
	shared_code[2] = EXIT;
	shared_attr = (union bpf_attr){ .prog_type = BPF_PROG_TYPE_TRACEPOINT,
					.insns = (uintptr_t)shared_code,
					.insn_cnt = 3,
					.license = (uintptr_t)shared_licence };
	pthread_create(&thread, NULL, exchange, NULL);
	for (int i = 0; i < 300 || ((!confined || !others) && i < 100000); i++) {
		int fd = bpf(BPF_PROG_LOAD, (union bpf_attr *)&shared_attr);
		struct bpf_prog_info info = {};
		union bpf_attr attr = {
			.info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info }
		};

		if (fd < 0)
			continue;
		must(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
		if (info.type == BPF_PROG_TYPE_SOCKET_FILTER)
			others++;
		else if (info.gpl_compatible && info.xlated_prog_len > 10 * sizeof(*shared_code))
			confined++;
		else
			wrong++;
		close(fd);
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("confined %s, others %s, wrong %d\n", confined ? "some" : "none",
	       others ? "some" : "none", wrong);
}

/* log_true_size follows; the headers of Linux 6.1 lack it. */
static uint32_t true_size(const union bpf_attr *attr)
{
	uint32_t size;

	memcpy(&size, (char *)attr + offsetof(union bpf_attr, core_relo_rec_size) + 4,
	       sizeof(size));
	return size;
}

/* "good-LEVEL-ROOM" or "bad-LEVEL-ROOM", errno, and what of these words a log with room for all has. */
static void tell_log(bool is_good, uint32_t level, uint32_t room)
{
	struct bpf_insn good[] = { MOV(0, 0), EXIT }, bad[] = { LOAD(0, 2, 0), EXIT };
	static const char *const words[] = { "R2 !read_ok", "verification time", "stack depth",
					     "processed" };
	union bpf_attr attr;
	const char *size;
	int fd;

	prepare_load(&attr, BPF_PROG_TYPE_TRACEPOINT, is_good ? good : bad, 2);
	attr.log_level = level;
	attr.log_size = room;
	if (room == 0)
		attr.log_buf = 0;
	fd = bpf(BPF_PROG_LOAD, &attr);
	printf("%s-%u-%u %d ", is_good ? "good" : "bad", level, room, fd < 0 ? errno : 0);
	size = true_size(&attr) == strlen(log_text) + 1 ? "whole" : "more";
	printf("size %s", true_size(&attr) == 0 ? "none" : size);
	for (int i = 0; room == sizeof(log_text) && i < 4; i++)
		if (strstr(log_text, words[i]))
			printf(", %s", words[i]);
	putchar('\n');
	close(fd);
}

static void logs(void)
{
	static const uint32_t levels[] = { 0, 1, 2, 4, 5, 8, 16 };
	static const uint32_t rooms[] = { 0, 24, sizeof(log_text) };

	for (int room = 0; room < 3; room++)
		for (int level = 0; level < 7; level++) {
			tell_log(true, levels[level], rooms[room]);
			tell_log(false, levels[level], rooms[room]);
		}
}

#define LONG 5000

/* NAME ERRNO COUNT: how many instructions the verifier looked at. */
static void tell_verified(const char *name, const struct bpf_insn *code, uint32_t log_level)
{
	struct bpf_prog_info info = {};
	union bpf_attr load, attr = { .info = { .info_len = sizeof(info) } };
	int fd;

	prepare_load(&load, BPF_PROG_TYPE_TRACEPOINT, code, LONG);
	load.log_level = log_level;
	if (log_level == 0)
		load.log_buf = load.log_size = 0;
	fd = bpf(BPF_PROG_LOAD, &load);
	attr.info.bpf_fd = fd;
	attr.info.info = (uintptr_t)&info;
	printf("%s %d ", name, fd < 0 || bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? errno : 0);
	printf("%u\n", info.verified_insns);
	close(fd);
}

/* Programs as compilers write them: arithmetic and stack; calls with a pointer to the stack; branches. */
static void verified(void)
{
	static struct bpf_insn straight[LONG], calls[LONG], branches[LONG];

	for (int i = 0; i < LONG - 2; i++) {
		straight[i] = i % 2 ? INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, 1) : MOV(3, i);
		calls[i] = i % 4 == 0 ? INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0) :
			   i % 4 == 1 ? INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -16) :
			   i % 4 == 2 ? MOV(2, 16) :
					CALL(BPF_FUNC_get_current_comm);
		branches[i] = i % 4 == 0 ? CALL(BPF_FUNC_get_prandom_u32) :
			      i % 4 == 1 ? INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, i) :
					   MOV(6, 0);
	}
	for (int i = LONG - 2; i < LONG; i++)
		straight[i] = calls[i] = branches[i] = i == LONG - 1 ? EXIT : MOV(0, 0);
	straight[1] = INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 3, -8, 0);
	tell_verified("straight", straight, 0);
	tell_verified("with-log", straight, 4);
	tell_verified("calls", calls, 0);
	tell_verified("branches", branches, 0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "hostile"))
		hostile();
	else if (!strcmp(what, "perf"))
		perf();
	else if (!strcmp(what, "exchange"))
		attack_by_exchange();
	else if (!strcmp(what, "logs"))
		logs();
	else if (!strcmp(what, "verified"))
		verified();
	else
		return 2;
	return 0;
}
