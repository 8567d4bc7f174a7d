/* BPF_PROG_LOAD of a few instructions, with the verifier's log. */
#ifndef GUEST_LOAD_H
#define GUEST_LOAD_H

#include "guest.h"
#include "insn.h"

static char log_text[65536];

static void prepare_load(union bpf_attr *attr, int type, const struct bpf_insn *code, int count)
{
	*attr = (union bpf_attr){
		.prog_type = type,
		.insns = (uintptr_t)code,
		.insn_cnt = count,
		.license = (uintptr_t) "GPL",
		.log_buf = (uintptr_t)log_text,
		.log_size = sizeof(log_text),
		.log_level = 1,
	};
	log_text[0] = 0;
}

#endif
