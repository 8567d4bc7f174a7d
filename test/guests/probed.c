/*
 * A guest that traces a function of its own file, with CAP_BPF alone, and a program with that function.
 * "probed calls N" calls it, "probed try" says which events are refused, "probed count" what an event
 * counts, "probed program" what a program on it sees.
 */
#include "guest.h"
#include <linux/perf_event.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <time.h>

#define SELF "/proc/self/exe"
#define CALLS 1000
#define RETURN_PROBE 1
#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i })
#define CALL(id) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, id)

/* What sys/sdt.h makes of a probe "probed" of provider "bpfns", with a semaphore. */
unsigned short probed_semaphore __attribute__((section(".probes"), used, visibility("hidden")));
extern const char probed_location[];

__attribute__((noinline, noclone)) int probed_function(int x)
{
	volatile int copy = x;

	__asm__ volatile(".globl probed_location\n"
			 "probed_location: nop\n"
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"
			 ".balign 4\n"
			 ".4byte 992f-991f, 994f-993f, 3\n"
			 "991: .asciz \"stapsdt\"\n"
			 "992: .balign 4\n"
			 "993: .8byte probed_location\n"
			 ".8byte _.stapsdt.base\n"
			 ".8byte probed_semaphore\n"
			 ".asciz \"bpfns\"\n"
			 ".asciz \"probed\"\n"
			 ".asciz \"\"\n"
			 "994: .balign 4\n"
			 ".popsection\n"
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
			 ".weak _.stapsdt.base\n"
			 ".hidden _.stapsdt.base\n"
			 "_.stapsdt.base: .space 1\n"
			 ".size _.stapsdt.base, 1\n"
			 ".popsection\n");
	return copy + 1;
}

static void call_it(int times)
{
	static volatile int sum;

	for (int i = 0; i < times; i++)
		sum += probed_function(i);
}

/* Where in this file something is that is mapped at this address. */
static uint64_t offset_of(const void *pointer)
{
	uintptr_t address = (uintptr_t)pointer, start, end;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned long offset;

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 &&
		    address >= start && address < end) {
			fclose(maps);
			return address - start + offset;
		}
	}
	fprintf(stderr, "nothing is mapped at %p\n", pointer);
	exit(1);
}

static int uprobe_type(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
	int type = -1;

	if (!file || fscanf(file, "%d", &type) != 1)
		must(-1, "type of uprobes");
	fclose(file);
	return type;
}

struct probe {
	const char *path;
	uint64_t offset;
	uint64_t semaphore;
	uint32_t kind;
	int pid, cpu, group, flags;
};

static int open_probe(struct probe probe)
{
	struct perf_event_attr attr = {
		.type = uprobe_type(),
		.size = sizeof(attr),
		.config = probe.kind | probe.semaphore << 32,
		.uprobe_path = (uintptr_t)probe.path,
		.probe_offset = probe.offset,
	};

	return syscall(SYS_perf_event_open, &attr, probe.pid, probe.cpu, probe.group, probe.flags);
}

/* NAME ERRNO SEMAPHORE: its value while the probe is there */
static void try(const char *name, struct probe probe)
{
	int fd = open_probe(probe);

	printf("%s %d %u\n", name, fd < 0 ? errno : 0,
	       *(volatile unsigned short *)&probed_semaphore);
	if (fd >= 0)
		close(fd);
}

/*
 * $FOREIGN is a process of the host. The files are copies of this one: $OWN_FILE the user may write,
 * $OVERLAY_FILE too, and $FUSE_FILE is served by a process.
 */
static void try_all(void)
{
	uint64_t function = offset_of(probed_function), location = offset_of(probed_location);
	uint64_t entry = offset_of((void *)getauxval(AT_ENTRY));
	uint64_t semaphore = offset_of(&probed_semaphore);
	int all = -1, own = 0, group;

#define TRY_FILE(name, file, ...) \
	try(name, (struct probe){ .path = file, .group = -1, __VA_ARGS__ })
#define TRY(name, ...) TRY_FILE(name, SELF, __VA_ARGS__)
	TRY("function", .offset = function, .pid = all);
	TRY("function-of-own", .offset = function, .pid = own, .cpu = -1);
	TRY("function-of-pid", .offset = function, .pid = getpid(), .cpu = -1);
	TRY("entry", .offset = entry, .pid = all);
	TRY("usdt", .offset = location, .pid = all);
	TRY("usdt-with-semaphore", .offset = location, .semaphore = semaphore, .pid = all);
	TRY("usdt-with-other-semaphore", .offset = location, .semaphore = semaphore + 2,
	    .pid = all);
	TRY("function-with-semaphore", .offset = function, .semaphore = semaphore, .pid = all);
	TRY("behind-function", .offset = function + 1, .pid = all);
	TRY("behind-function-of-own", .offset = function + 1, .pid = own, .cpu = -1);
	TRY("behind-usdt", .offset = location + 1, .pid = all);
	TRY("header", .offset = 0, .pid = all);
	TRY("data", .offset = semaphore, .pid = all);
	TRY("end", .offset = 1ULL << 40, .pid = all);
	TRY("huge", .offset = -1ULL, .pid = all);
	TRY("return", .offset = function, .kind = RETURN_PROBE, .pid = all);
	TRY("return-of-own", .offset = function, .kind = RETURN_PROBE, .pid = own, .cpu = -1);
	TRY("return-of-pid", .offset = function, .kind = RETURN_PROBE, .pid = getpid(), .cpu = -1);
	TRY("return-of-root", .offset = function, .kind = RETURN_PROBE, .pid = getppid(),
	    .cpu = -1);
	TRY_FILE("return-on-overlay", getenv("OVERLAY_FILE"), .offset = function,
		 .kind = RETURN_PROBE, .pid = all);
	TRY_FILE("return-in-own-file", getenv("OWN_FILE"), .offset = function, .kind = RETURN_PROBE,
		 .pid = all);
	TRY("return-of-entry", .offset = entry, .kind = RETURN_PROBE, .pid = own, .cpu = -1);
	TRY("return-of-usdt", .offset = location, .kind = RETURN_PROBE, .pid = own, .cpu = -1);
	TRY("kind", .offset = function, .kind = 2, .pid = all);
	TRY("foreign", .offset = function, .pid = atoi(getenv("FOREIGN")), .cpu = -1);
	TRY("nobody", .offset = function, .pid = 0x3fffff, .cpu = -1);
	TRY("no-cpu", .offset = function, .pid = all, .cpu = -1);
	TRY("cgroup", .offset = function, .pid = all, .flags = PERF_FLAG_PID_CGROUP);
	group = open_probe((struct probe){ .path = SELF, .offset = function, .group = -1 });
	try("group", (struct probe){ .path = SELF, .offset = function, .cpu = -1, .group = group });
	close(group);
	TRY_FILE("no-path", NULL, .offset = function, .pid = all);
	TRY_FILE("no-file", "/nothing", .offset = function, .pid = all);
	TRY_FILE("directory", "/", .offset = function, .pid = all);
	TRY_FILE("device", "/dev/zero", .offset = function, .pid = all);
	TRY_FILE("fuse", getenv("FUSE_FILE"), .offset = function, .pid = all);
	TRY_FILE("text", "/etc/passwd", .offset = function, .pid = all);
	TRY_FILE("unreadable", "/etc/shadow", .offset = function, .pid = all);
	TRY_FILE("other-process", "/proc/1/exe", .offset = function, .pid = all);
}

static uint64_t count_of(int event)
{
	uint64_t count = 0;

	if (read(event, &count, sizeof(count)) != sizeof(count))
		must(-1, "count");
	return count;
}

/* While others call the function: the counts of events for all tasks, and for the own ones. */
static void count(void)
{
	struct probe probe = { .path = SELF, .offset = offset_of(probed_function), .group = -1 };
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), all[cpus], own;
	uint64_t sum = 0;

	probe.pid = -1;
	for (probe.cpu = 0; probe.cpu < cpus; probe.cpu++)
		all[probe.cpu] = must(open_probe(probe), "event of all");
	probe.pid = 0;
	probe.cpu = -1;
	own = must(open_probe(probe), "event of own");
	call_it(CALLS);
	for (struct timespec left = { .tv_nsec = 500 * 1000 * 1000 }; nanosleep(&left, &left);)
		;
	for (int i = 0; i < cpus; i++)
		sum += count_of(all[i]);
	printf("all %llu own %llu\n", (unsigned long long)sum, (unsigned long long)count_of(own));
}

struct seen {
	uint64_t count, cookie, address;
};

/* Counts in the value of the map, and notes what it is told. */
static int load_counter(int map)
{
	struct bpf_insn code[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		LOAD_MAP(map),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 9, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 7, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 7, 1, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
		CALL(BPF_FUNC_get_attach_cookie),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 7, 0, 8, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
		CALL(BPF_FUNC_get_func_ip),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 7, 0, 16, 0),
		RETURN(0),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_KPROBE,
				.insns = (uintptr_t)code,
				.insn_cnt = sizeof(code) / sizeof(*code),
				.license = (uintptr_t) "GPL" };

	return must(bpf(BPF_PROG_LOAD, &attr), "program");
}

static void tell(const char *how, int map)
{
	struct seen seen = {};
	uint32_t key = 0;
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)&seen };

	call_it(CALLS);
	must(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "look-up");
	printf("%s count %llu cookie %llu at-function %d\n", how, (unsigned long long)seen.count,
	       (unsigned long long)seen.cookie, seen.address == (uintptr_t)probed_function);
	attr.value = (uintptr_t) & (struct seen){};
	must(bpf(BPF_MAP_UPDATE_ELEM, &attr), "update");
}

static void with_program(void)
{
	union bpf_attr create = { .map_type = BPF_MAP_TYPE_ARRAY,
				  .key_size = 4,
				  .value_size = sizeof(struct seen),
				  .max_entries = 1 };
	struct probe probe = {
		.path = SELF, .offset = offset_of(probed_function), .pid = -1, .group = -1
	};
	int map = must(bpf(BPF_MAP_CREATE, &create), "map"), program = load_counter(map);
	int event = must(open_probe(probe), "event");
	union bpf_attr link = { .link_create = { .prog_fd = program,
						 .attach_type = BPF_PERF_EVENT } };

	must(ioctl(event, PERF_EVENT_IOC_SET_BPF, program), "attach");
	tell("ioctl", map);
	close(event);
	link.link_create.target_fd = must(open_probe(probe), "event");
	link.link_create.perf_event.bpf_cookie = 77;
	must(bpf(BPF_LINK_CREATE, &link), "link");
	tell("link", map);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "calls") && argc > 2)
		call_it(atoi(argv[2]));
	else if (!strcmp(what, "try"))
		try_all();
	else if (!strcmp(what, "count"))
		count();
	else if (!strcmp(what, "program"))
		with_program();
	else
		return 2;
	return 0;
}
