/*
 * "smuggle": programs that would get at the kernel's memory without a helper for it. A line each:
 * NAME ERRNO LAST-LINE-OF-LOG.
 */
#include "guest.h"
#include "load.h"
#include <linux/btf.h>

#define INDIRECT (BPF_LDX | BPF_MEM | BPF_DW)
#define LOOKUP 1
#define PRANDOM 7
#define FUNCTION(distance) INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance)
#define PID_TGID 14
#define KTIME 5
#define LOAD_ACQUIRE 0x100

/* An fd, or -1 with errno and log_text. */
static int load_code(int type, const struct bpf_insn *code, int count)
{
	union bpf_attr attr;

	prepare_load(&attr, type, code, count);
	return bpf(BPF_PROG_LOAD, &attr);
}

static void report(const char *name, int fd)
{
	/* Linux 7.3 explains the line at length. */
	char *end = strstr(log_text, "\n\nVerification failed: "), *line;

	if (!end)
		end = strstr(log_text, "\nprocessed ");

	if (fd >= 0) {
		printf("%s 0\n", name);
		close(fd);
		return;
	}
	if (end)
		*end = 0;
	else
		log_text[strcspn(log_text, "\n")] = 0;
	line = strrchr(log_text, '\n');
	printf("%s %d %s\n", name, errno, line ? line + 1 : log_text);
}

/* With one of the offsets in struct bpf_map at which there is a pointer; which they are differs. */
#define TRY_AT(name, place, ...)                                         \
	do {                                                             \
		int fd_ = -1;                                            \
		for (int place = 0; place < 64 && fd_ < 0; place += 8) { \
			struct bpf_insn code_[] = { __VA_ARGS__ };       \
			fd_ = load_code(BPF_PROG_TYPE_TRACEPOINT, code_, \
					sizeof(code_) / sizeof(*code_)); \
		}                                                        \
		report(name, fd_);                                       \
	} while (0)
#define TRY_AS(name, type, ...)                                                       \
	do {                                                                          \
		struct bpf_insn code_[] = { __VA_ARGS__ };                            \
		report(name, load_code(type, code_, sizeof(code_) / sizeof(*code_))); \
	} while (0)
#define TRY(name, ...) TRY_AS(name, BPF_PROG_TYPE_TRACEPOINT, __VA_ARGS__)

/* BTF: types of three words and more, strings by their offsets. */
static char strings[256];
static int strings_length = 1;
static uint32_t types[128];
static int types_length;

static uint32_t string(const char *text)
{
	uint32_t at = strings_length;

	strings_length += sprintf(strings + at, "%s", text) + 1;
	return at;
}

static void type(const char *name, uint32_t kind, uint32_t vlen, uint32_t size_or_type)
{
	types[types_length++] = *name ? string(name) : 0;
	types[types_length++] = kind << 24 | vlen;
	types[types_length++] = size_or_type;
}

static void word(uint32_t value)
{
	types[types_length++] = value;
}

static int load_types(void)
{
	struct btf_header header = { .magic = BTF_MAGIC,
				     .version = 1,
				     .hdr_len = sizeof(header),
				     .type_len = types_length * 4,
				     .str_off = types_length * 4,
				     .str_len = strings_length };
	char blob[1024];
	union bpf_attr attr = {
		.btf = (uintptr_t)blob,
		.btf_size = sizeof(header) + header.type_len + strings_length,
		.btf_log_buf = (uintptr_t)log_text,
		.btf_log_size = sizeof(log_text),
		.btf_log_level = 1,
	};

	memcpy(blob, &header, sizeof(header));
	memcpy(blob + sizeof(header), types, header.type_len);
	memcpy(blob + sizeof(header) + header.type_len, strings, strings_length);
	types_length = 0;
	strings_length = 1;
	return bpf(BPF_BTF_LOAD, &attr);
}

/* A function whose argument may be any number, and is read through: "long f(long *p __arg_untrusted)". */
static void argument(void)
{
	struct bpf_insn code[] = { MOV(1, 0), INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1),
				   EXIT, LOAD(0, 1, 0), EXIT };
	struct bpf_func_info functions[] = { { 0, 5 }, { 3, 6 } };
	union bpf_attr attr;

	type("long", BTF_KIND_INT, 0, 8); /* 1 */
	word(BTF_INT_SIGNED << 24 | 64);
	type("", BTF_KIND_PTR, 0, 1); /* 2 */
	type("", BTF_KIND_FUNC_PROTO, 0, 1); /* 3 */
	type("", BTF_KIND_FUNC_PROTO, 1, 1); /* 4 */
	word(string("p"));
	word(2);
	type("main", BTF_KIND_FUNC, BTF_FUNC_GLOBAL, 3); /* 5 */
	type("f", BTF_KIND_FUNC, BTF_FUNC_GLOBAL, 4); /* 6 */
	type("arg:untrusted", BTF_KIND_DECL_TAG, 0, 6); /* 7 */
	word(0);
	prepare_load(&attr, BPF_PROG_TYPE_TRACEPOINT, code, 5);
	attr.prog_btf_fd = must(load_types(), "BTF of a function");
	attr.func_info = (uintptr_t)functions;
	attr.func_info_cnt = 2;
	attr.func_info_rec_size = sizeof(*functions);
	report("untrusted-argument", bpf(BPF_PROG_LOAD, &attr));
}

/* A map with a pointer to a task in its value, where a program of another type may have put one. */
static int map_of_tasks(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
				.key_size = 4,
				.value_size = 8,
				.max_entries = 1,
				.btf_key_type_id = 5,
				.btf_value_type_id = 4 };

	type("task_struct", BTF_KIND_STRUCT, 0, 0); /* 1 */
	type("kptr_untrusted", BTF_KIND_TYPE_TAG, 0, 1); /* 2 */
	type("", BTF_KIND_PTR, 0, 2); /* 3 */
	type("value", BTF_KIND_STRUCT, 1, 8); /* 4 */
	word(string("task"));
	word(3);
	word(0);
	type("int", BTF_KIND_INT, 0, 4); /* 5 */
	word(BTF_INT_SIGNED << 24 | 32);
	attr.btf_fd = must(load_types(), "BTF of a map");
	return must(bpf(BPF_MAP_CREATE, &attr), "map of tasks");
}

/* What a program finds on a stack that it has not written: the lowest 32 bits of all of it, or an error. */
static void run(const char *name, const struct bpf_insn *code, int count)
{
	int fd = load_code(BPF_PROG_TYPE_RAW_TRACEPOINT, code, count);
	union bpf_attr attr = { .test = { .prog_fd = fd } };

	if (fd < 0) {
		report(name, fd);
		return;
	}
	must(bpf(BPF_PROG_TEST_RUN, &attr), "test run");
	printf("%s 0 %u\n", name, attr.test.retval);
	close(fd);
}

#define RUN(name, ...)                                            \
	do {                                                      \
		struct bpf_insn code_[] = { __VA_ARGS__ };        \
		run(name, code_, sizeof(code_) / sizeof(*code_)); \
	} while (0)

static void stack(void)
{
	struct bpf_insn all[64] = { MOV(0, 0) };
	int count = 1;

	for (int at = -8; at >= -56; at -= 8) {
		all[count++] = LOAD(1, 10, at);
		all[count++] = INSN(BPF_ALU64 | BPF_OR | BPF_X, 0, 1, 0, 0);
	}
	all[count++] = EXIT;
	run("stack", all, count);
	RUN("stack-of-function", FUNCTION(1), EXIT, LOAD(0, 10, -40), EXIT);
	RUN("stack-of-caller", COPY(1, 10), ADD(1, -8), FUNCTION(1), EXIT, LOAD(0, 1, -40), EXIT);
	RUN("stack-anywhere", CALL(PRANDOM), INSN(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 0x38),
	    COPY(1, 10), INSN(BPF_ALU64 | BPF_ADD | BPF_X, 1, 0, 0, 0), LOAD(0, 1, -64), EXIT);
	/* Seems to use more than there may be. */
	RUN("stack-of-nobody", COPY(1, 10), ADD(1, -512), MOV(1, 0), FUNCTION(1), EXIT, COPY(1, 10),
	    ADD(1, -512), MOV(1, 0), LOAD(0, 10, -48), EXIT);
	/* A loop that goes back to the first instruction of a function must find what it has written. */
	RUN("stack-of-loop", FUNCTION(1), EXIT, LOAD(1, 10, -48), ADD(1, 1), STORE(10, -48, 1),
	    INSN(BPF_JMP | BPF_JLT | BPF_K, 1, 0, -4, 3), COPY(0, 1), EXIT);
}

int main(void)
{
	int map = create_map(BPF_MAP_TYPE_ARRAY, "plain", 0);
	int outer = create_map(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", map);
	int tasks = map_of_tasks();
	char name[32];

	setvbuf(stdout, NULL, _IOLBF, 0);
	TRY("plain", MAP(1, map), CALL(KTIME), EXIT);
	TRY_AT("map-structure", place, MAP(1, map), LOAD(2, 1, place), LOAD(0, 2, 0), EXIT);
	TRY_AT("map-structure-by-acquire", place, MAP(1, map),
	       INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 2, 1, place, LOAD_ACQUIRE), LOAD(0, 2, 0), EXIT);
	TRY_AT("map-in-map", place, INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0), COPY(2, 10),
	       ADD(2, -4), MAP(1, outer), CALL(LOOKUP), IF_ZERO(0, 2), LOAD(1, 0, place),
	       LOAD(0, 1, 0), EXIT);
	TRY("task-in-map", INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0), COPY(2, 10), ADD(2, -4),
	    MAP(1, tasks), CALL(LOOKUP), IF_ZERO(0, 3), LOAD(1, 0, 0), IF_ZERO(1, 1), LOAD(0, 1, 0),
	    MOV(0, 0), EXIT);
	argument();
	stack();
	/* What is put in front and between must leave no pointer behind. */
	for (int r = 0; r < 10; r++) {
		snprintf(name, sizeof(name), "left-at-start-r%d", r);
		TRY_AS(name, BPF_PROG_TYPE_PERF_EVENT, INSN(INDIRECT, r, r, r == 1 ? -8 : 0, 0),
		       CALL(PID_TGID), EXIT);
	}
	for (int r = 0; r < 10; r++) {
		snprintf(name, sizeof(name), "left-by-pid-r%d", r);
		TRY(name, CALL(PID_TGID), IF_ZERO(0, 1), INSN(INDIRECT, 0, r, 8, 0), MOV(0, 0),
		    EXIT);
		snprintf(name, sizeof(name), "left-by-no-pid-r%d", r);
		TRY(name, CALL(PID_TGID), INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 1, 0),
		    INSN(INDIRECT, 0, r, 8, 0), MOV(0, 0), EXIT);
	}
	return 0;
}
