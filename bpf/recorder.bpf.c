// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The recorder: records in the kernel who created which BPF object, and numbers it in the creator's
 * namespace and in every ancestor.
 *
 *   fork            the child starts in its parent's namespace
 *   bpf() entered   remember the command and the newest known ids
 *   bpf() returned  find the object behind the new fd and write its record
 */
#include "forks.h"
#include "hooks.h"
#include "late.h"
#include "services.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Only to get its layout into the BTF. */
const struct bpfns_event *event_layout __attribute__((unused));
