/*
 * "fuzz-load SECONDS SEED": loads random programs with CAP_BPF alone under tracing=own: bytes of no
 * meaning, and programs that were valid before something in them was changed. Prints how many were
 * tried, how many were loaded, and how many of these have no scope check in front.
 */
#include "guest.h"
#include "insn.h"
#include <time.h>

#define MOST 48
/* The scope check has more instructions than any program here. */
#define CHECK 20

static uint64_t state;

/* xorshift64* */
static uint32_t any(uint32_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 32) % below;
}

static int map;

static int valid(struct bpf_insn *into)
{
	struct bpf_insn look_up[] = { INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 1),
				      COPY(2, 10),
				      ADD(2, -4),
				      MAP(1, map),
				      CALL(1),
				      IF_ZERO(0, 3),
				      INSN(BPF_LDX | BPF_MEM | BPF_W, 1, 0, 0, 0),
				      ADD(1, 1),
				      INSN(BPF_STX | BPF_MEM | BPF_W, 0, 1, 0, 0),
				      MOV(0, 0),
				      EXIT };
	struct bpf_insn pids[] = { COPY(6, 1), CALL(14),	STORE(10, -8, 0),
				   CALL(15),   LOAD(0, 10, -8), EXIT };
	struct bpf_insn function[] = {
		MOV(1, 7),	  INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 2),
		ADD(0, 1),	  EXIT,
		MOV(2, 3),	  STORE(10, -16, 1),
		LOAD(0, 10, -16), EXIT
	};
	struct bpf_insn loop[] = { MOV(6, 0), CALL(5),
				   ADD(6, 1), INSN(BPF_JMP | BPF_JLT | BPF_K, 6, 0, -3, 5),
				   MOV(0, 0), EXIT };
	struct bpf_insn user[] = { COPY(1, 10), ADD(1, -32), MOV(2, 32), MOV(3, 0),
				   CALL(4),	COPY(6, 0),  MOV(0, 1),	 EXIT };
	static const struct {
		int length;
	} lengths[] = { { sizeof(look_up) },
			{ sizeof(pids) },
			{ sizeof(function) },
			{ sizeof(loop) },
			{ sizeof(user) } };
	const struct bpf_insn *all[] = { look_up, pids, function, loop, user };
	int which = any(5);

	memcpy(into, all[which], lengths[which].length);
	return lengths[which].length / sizeof(*into);
}

static void change(struct bpf_insn *code, int *count)
{
	static const uint8_t codes[] = { 0x85, 0x95, 0x18, 0x05, 0x06, 0x0d, 0x15, 0x79, 0x7b,
					 0xdb, 0xb7, 0xbf, 0x07, 0x0f, 0xe5, 0x8d, 0x20, 0x81 };
	int at = any(*count);

	switch (any(8)) {
	case 0:
		code[at].code = any(2) ? codes[any(sizeof(codes))] : any(256);
		break;
	case 1:
		code[at].dst_reg = any(16);
		break;
	case 2:
		code[at].src_reg = any(any(2) ? 3 : 16);
		break;
	case 3:
		code[at].off = (int)any(24) - 12;
		break;
	case 4:
		code[at].imm = any(2) ? (int)any(220) : (int)any(24) - 12;
		break;
	case 5:
		code[at] = code[any(*count)];
		break;
	case 6:
		if (*count == MOST)
			break;
		memmove(code + at + 1, code + at, (*count - at) * sizeof(*code));
		(*count)++;
		break;
	default:
		if (*count == 1)
			break;
		memmove(code + at, code + at + 1, (*count - at - 1) * sizeof(*code));
		(*count)--;
	}
}

static void make(union bpf_attr *attr, struct bpf_insn *code)
{
	static char log[4096];
	static const int types[] = { BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_KPROBE };
	int count;

	if (any(4)) {
		count = valid(code);
		for (int left = any(4); left > 0; left--)
			change(code, &count);
	} else {
		count = 1 + any(MOST - 1);
		for (size_t i = 0; i < count * sizeof(*code); i++)
			((uint8_t *)code)[i] = any(256);
	}
	*attr = (union bpf_attr){ .prog_type = types[any(2)],
				  .insns = (uintptr_t)code,
				  .insn_cnt = count,
				  .license = (uintptr_t) "GPL" };
	if (any(4) == 0) {
		attr->log_buf = any(8) ? (uintptr_t)log : any(1 << 30);
		attr->log_size = any(2) ? sizeof(log) : any(300);
		attr->log_level = any(6);
	}
	if (any(16) == 0)
		((uint32_t *)attr)[any(sizeof(*attr) / 4)] = any(2) ? any(1 << 30) : any(64);
}

int main(int argc, char **argv)
{
	long tried = 0, loaded = 0, bare = 0;
	struct bpf_insn code[MOST + 1];
	time_t end;

	if (argc != 3)
		return 2;
	end = time(NULL) + atoi(argv[1]);
	state = strtoull(argv[2], NULL, 10) * 2 + 1;
	map = create_map(BPF_MAP_TYPE_ARRAY, "fuzz", 0);
	while (time(NULL) < end) {
		struct bpf_prog_info info = {};
		union bpf_attr attr,
			ask = { .info = { .info_len = sizeof(info), .info = (uintptr_t)&info } };

		make(&attr, code);
		tried++;
		ask.info.bpf_fd = bpf(BPF_PROG_LOAD, &attr);
		if ((int)ask.info.bpf_fd < 0)
			continue;
		loaded++;
		must(bpf(BPF_OBJ_GET_INFO_BY_FD, &ask), "info");
		if ((info.type == BPF_PROG_TYPE_TRACEPOINT || info.type == BPF_PROG_TYPE_KPROBE) &&
		    info.xlated_prog_len <= CHECK * sizeof(*code))
			bare++;
		close(ask.info.bpf_fd);
	}
	printf("tried %ld loaded %ld bare %ld\n", tried, loaded, bare);
	return 0;
}
