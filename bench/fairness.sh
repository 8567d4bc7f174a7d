#!/bin/bash
# Measures how much a container that calls as fast as it can slows another: the median of the other's
# calls alone and beside it, and their ratio, which should stay below 3. Needs root.
# Usage: bench/fairness.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-20000}
make --no-print-directory build >/dev/null
mkdir -p build/bench
cc -O2 -Wall -Wextra -Werror -o build/bench/guest bench/guest.c

# Four callers in one container are more than the agent's loop can serve.
noise='for i in 1 2 3 4; do while build/bench/guest get_next_id 100000 >/dev/null; do :; done & done; wait'

median() { # WHAT
	bin/bpfns run -- build/bench/guest "$1" "$rounds" | cut -d ' ' -f 1
}

for what in get_next_id get_fd_by_id; do
	alone=$(median "$what")
	# timeout has a process group of its own: its end is that of all in there.
	timeout 120 bin/bpfns run -- bash -c "$noise" &
	noisy=$!
	trap 'kill $noisy 2>/dev/null' EXIT
	sleep 2
	beside=$(median "$what")
	kill $noisy
	wait $noisy || true
	trap - EXIT
	awk -v what="$what" -v alone="$alone" -v beside="$beside" 'BEGIN {
		printf "%-12s alone %6.1f us, beside a container that calls without a pause %6.1f us, ratio %.2f\n",
			what, alone / 1000, beside / 1000, beside / alone }'
done
