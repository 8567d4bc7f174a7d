// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The same iterator, without the name by which bpfns knows bpftool's: it runs natively. */
#define bpf_obj_type own_type
#include "pid-iter.bpf.c"
