/*
 * objects CMD ARG...: makes two maps, a BTF, a program that uses all three and a link, in
 * this order, then runs CMD beside itself; its exit status is CMD's.
 */
#include <linux/btf.h>
#include <sys/wait.h>

#include "guest.h"

enum { INT = 1, PROTO, FUNC };

/* int, int (int), and `count`, a function of that type. */
static int load_btf(void)
{
	static const char strings[] = "\0int\0count";
	struct {
		struct btf_header header;
		struct btf_type number;
		__u32 encoding;
		struct btf_type proto;
		struct btf_param param;
		struct btf_type func;
		char strings[sizeof(strings)];
	} __attribute__((packed)) blob = {
		.header = { .magic = BTF_MAGIC,
			    .version = BTF_VERSION,
			    .hdr_len = sizeof(struct btf_header) },
		.number = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		.encoding = BTF_INT_SIGNED << 24 | 32,
		.proto = { .info = BTF_KIND_FUNC_PROTO << 24 | 1, .type = INT },
		.param = { .name_off = 1, .type = INT },
		.func = { .name_off = 5, .info = BTF_KIND_FUNC << 24, .type = PROTO },
	};
	union bpf_attr attr = { .btf = (uintptr_t)&blob, .btf_size = sizeof(blob) };

	memcpy(blob.strings, strings, sizeof(strings));
	blob.header.str_off = blob.header.type_len =
		sizeof(blob) - sizeof(blob.header) - sizeof(strings);
	blob.header.str_len = sizeof(strings);
	return must(bpf(BPF_BTF_LOAD, &attr), "BTF");
}

static int create_typed_map(int btf)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_HASH,
				.key_size = 4,
				.value_size = 4,
				.max_entries = 8,
				.map_name = "first",
				.btf_fd = btf,
				.btf_key_type_id = INT,
				.btf_value_type_id = INT };

	return must(bpf(BPF_MAP_CREATE, &attr), "first");
}

static int load(int first, int second, int btf)
{
	struct bpf_insn code[] = { LOAD_MAP(first), LOAD_MAP(second), RETURN(0) };
	struct bpf_func_info function = { .type_id = FUNC };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
				.prog_name = "count",
				.license = (uintptr_t) "GPL",
				.insns = (uintptr_t)code,
				.insn_cnt = sizeof(code) / sizeof(code[0]),
				.prog_btf_fd = btf,
				.func_info_rec_size = sizeof(function),
				.func_info = (uintptr_t)&function,
				.func_info_cnt = 1 };

	return must(bpf(BPF_PROG_LOAD, &attr), "count");
}

int main(int argc, char **argv)
{
	int btf = load_btf();
	int first = create_typed_map(btf);
	int second = create_map(BPF_MAP_TYPE_ARRAY, "second", 0);
	int prog = load(first, second, btf);
	union bpf_attr attr = { .raw_tracepoint = { .name = (uintptr_t) "sched_process_exit",
						    .prog_fd = prog } };
	int status;

	must(bpf(BPF_RAW_TRACEPOINT_OPEN, &attr), "link");
	must(update_map(first, 7, 42), "update");
	if (argc < 2)
		return pause();
	if (fork() == 0) {
		execvp(argv[1], argv + 1);
		must(-1, argv[1]);
	}
	wait(&status);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
