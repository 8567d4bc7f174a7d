/*
 * Loads a program with all that a loader can say of its instructions, and runs it: BTF, functions, lines,
 * a map by its place in fd_array, and a field that the kernel itself looks up (CO-RE). Prints what it
 * returns, 1000 and the offset of task_struct.pid, and how many functions and lines the kernel kept.
 */
#include "guest.h"
#include "load.h"
#include <linux/btf.h>

#define FUNCTION 11
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char strings[] = "\0int\0task_struct\0pid\0main\0function\0"
			      "0:0";
enum {
	NO_NAME,
	INT = 1,
	TASK_STRUCT = 5,
	PID = 17,
	MAIN = 21,
	FUNCTION_NAME = 26,
	FIRST_FIELD = 35
};

#define KIND(kind, members) (BTF_KIND_##kind << 24 | (members))

static int load_btf(void)
{
	static const uint32_t types[] = {
		INT,
		KIND(INT, 0),
		4,
		BTF_INT_SIGNED << 24 | 32,
		TASK_STRUCT,
		KIND(STRUCT, 1),
		4,
		PID,
		1,
		0,
		NO_NAME,
		KIND(FUNC_PROTO, 0),
		1,
		MAIN,
		KIND(FUNC, 0),
		3,
		FUNCTION_NAME,
		KIND(FUNC, 0),
		3,
	};
	struct {
		struct btf_header header;
		uint32_t types[COUNT(types)];
		char strings[sizeof(strings)];
	} __attribute__((packed)) btf = { .header = { .magic = BTF_MAGIC,
						      .version = BTF_VERSION,
						      .hdr_len = sizeof(struct btf_header),
						      .type_len = sizeof(types),
						      .str_off = sizeof(types),
						      .str_len = sizeof(strings) } };
	union bpf_attr attr = { .btf = (uintptr_t)&btf, .btf_size = sizeof(btf) };

	memcpy(btf.types, types, sizeof(types));
	memcpy(btf.strings, strings, sizeof(strings));
	return must(bpf(BPF_BTF_LOAD, &attr), "BPF_BTF_LOAD");
}

static int load(int map)
{
	const struct bpf_insn code[] = {
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_IDX, 0, 1),
		INSN(0, 0, 0, 0, 0),
		COPY(2, 10),
		ADD(2, -4),
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 1),
		CALL(BPF_FUNC_map_lookup_elem),
		IF_ZERO(0, 3),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 7, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, FUNCTION - 9),
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 7, 0, 0),
		EXIT,
		MOV(0, 0),
		EXIT,
	};
	const struct bpf_func_info functions[] = { { 0, 4 }, { FUNCTION, 5 } };
	const struct bpf_line_info lines[] = { { .insn_off = 0 },
					       { .insn_off = 5 },
					       { .insn_off = FUNCTION } };
	const struct bpf_core_relo field = { .insn_off = FUNCTION * sizeof(*code),
					     .type_id = 2,
					     .access_str_off = FIRST_FIELD,
					     .kind = BPF_CORE_FIELD_BYTE_OFFSET };
	const int fds[] = { -1, map };
	union bpf_attr attr;
	int fd;

	prepare_load(&attr, BPF_PROG_TYPE_RAW_TRACEPOINT, code, COUNT(code));
	attr.prog_btf_fd = load_btf();
	attr.func_info = (uintptr_t)functions;
	attr.func_info_cnt = COUNT(functions);
	attr.func_info_rec_size = sizeof(*functions);
	attr.line_info = (uintptr_t)lines;
	attr.line_info_cnt = COUNT(lines);
	attr.line_info_rec_size = sizeof(*lines);
	attr.core_relos = (uintptr_t)&field;
	attr.core_relo_cnt = 1;
	attr.core_relo_rec_size = sizeof(field);
	attr.fd_array = (uintptr_t)fds;
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		fprintf(stderr, "%s", log_text);
	return must(fd, "BPF_PROG_LOAD");
}

int main(void)
{
	int map = create_map(BPF_MAP_TYPE_ARRAY, "numbers", 0), fd;
	union bpf_attr run = {};
	struct bpf_prog_info info = {};
	union bpf_attr ask = { .info = { .info_len = sizeof(info), .info = (uintptr_t)&info } };

	must(update_map(map, 1, 1000), "BPF_MAP_UPDATE_ELEM");
	fd = load(map);
	run.test.prog_fd = fd;
	must(bpf(BPF_PROG_RUN, &run), "BPF_PROG_RUN");
	ask.info.bpf_fd = fd;
	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &ask), "BPF_OBJ_GET_INFO_BY_FD");
	printf("returns %u, functions %u, lines %u\n", run.test.retval, info.nr_func_info,
	       info.nr_line_info);
	return 0;
}
