/*
 * Creates one object in each way there is. Prints a line for each: how, the object's
 * id, and whether it opens by that id.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV(dst, imm) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define STORE(offset, imm) INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, offset, imm)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LO 1

typedef int (*open_function)(__u32 id);

static void tell(const char *how, int fd, open_function open_by_id)
{
	__u32 info[64] = {}, length = sizeof(info), id;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, info, &length)) {
		printf("%s failed: %d\n", how, fd);
		return;
	}
	/* struct btf_info begins with a pointer and a size, the others with type and id. */
	id = open_by_id == bpf_btf_get_fd_by_id ? info[3] : info[1];
	printf("%s %u %s\n", how, id, open_by_id(id) < 0 ? "does not open" : "opens");
}

static int load(enum bpf_prog_type type, __u32 flags, const struct bpf_insn *code, size_t size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = flags);

	return bpf_prog_load(type, "created", "GPL", code, size / sizeof(*code), &opts);
}

/* As a light skeleton does: a program calls bpf() inside the kernel. */
static int map_from_program(void)
{
	const struct bpf_insn code[] = {
		STORE(-16, BPF_MAP_TYPE_ARRAY),
		STORE(-12, 4),
		STORE(-8, 4),
		STORE(-4, 1),
		MOV(1, BPF_MAP_CREATE),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -16),
		MOV(3, 16),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sys_bpf),
		EXIT,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int program = load(BPF_PROG_TYPE_SYSCALL, BPF_F_SLEEPABLE, code, sizeof(code));

	return program < 0 || bpf_prog_test_run_opts(program, &opts) ? -1 : (int)opts.retval;
}

int main(void)
{
	const struct bpf_insn pass[] = { MOV(0, 2 /* XDP_PASS */), EXIT };
	const struct bpf_insn nothing[] = { MOV(0, 0), EXIT };
	struct btf *btf = btf__new_empty();
	int xdp = load(BPF_PROG_TYPE_XDP, 0, pass, sizeof(pass));
	int raw = load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, nothing, sizeof(nothing));
	__u32 size;
	const void *data;

	btf__add_int(btf, "created", 4, 0);
	data = btf__raw_data(btf, &size);
	tell("MAP_CREATE", bpf_map_create(BPF_MAP_TYPE_ARRAY, "created", 4, 4, 1, NULL),
	     bpf_map_get_fd_by_id);
	tell("PROG_LOAD", xdp, bpf_prog_get_fd_by_id);
	tell("LINK_CREATE", bpf_link_create(xdp, LO, BPF_XDP, NULL), bpf_link_get_fd_by_id);
	tell("RAW_TRACEPOINT_OPEN", bpf_raw_tracepoint_open("sched_switch", raw),
	     bpf_link_get_fd_by_id);
	tell("BTF_LOAD", bpf_btf_load(data, size, NULL), bpf_btf_get_fd_by_id);
	tell("PROG_RUN", map_from_program(), bpf_map_get_fd_by_id);
	return 0;
}
