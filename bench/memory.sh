#!/bin/bash
# Measures the memory of the keeper and daemon with 0, 10 and 100 containers, at rest and while somebody watches: the
# numbers behind the requests in packaging/kubernetes. Needs root, runc and busybox-static.
# Usage: bench/memory.sh [CONTAINERS ...]
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- 0 10 100
make --no-print-directory build >/dev/null
work=$(mktemp -d /tmp/bpfns-memory-XXXXXX)
export BPFNS_RUN_DIR=$work/run
runc() { command runc --root "$work/runc" "$@"; }
started=0

clean() {
	for id in $(runc list --quiet); do runc delete --force "$id"; done
	[ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || true
	for _ in $(seq 100); do
		[ "$(bin/bpfns ls --json | grep -c '"id":')" -gt 1 ] || break
		sleep 0.2
	done
	kill "$daemon" "$keeper"
	wait "$daemon" "$keeper" || true
	if mountpoint -q "$work/run/bpf"; then umount "$work/run/bpf"; fi
	rm -rf "$work"
}
bin/bpfns keeper 2>"$work/keeper" &
keeper=$!
bin/bpfns daemon 2>"$work/daemon" &
daemon=$!
trap clean EXIT
until [ -S "$work/run/seccomp.sock" ]; do sleep 0.1; done

mkdir -p "$work"/root/{bin,proc,dev}
cp /bin/busybox "$work/root/bin"
bin/bpfns profile --listener "$work/run/seccomp.sock" --output "$work/profile.json"
start_one() { # ID
	mkdir "$work/$1"
	node -e '
		const [root, profile] = process.argv.slice(1);
		const capabilities = ["CAP_BPF", "CAP_PERFMON"];
		const all = { bounding: capabilities, effective: capabilities, permitted: capabilities };
		console.log(JSON.stringify({
			ociVersion: "1.0.2",
			process: { user: { uid: 0, gid: 0 }, args: ["/bin/busybox", "sleep", "1000000"], cwd: "/", capabilities: all },
			root: { path: root, readonly: true },
			mounts: [
				{ destination: "/proc", type: "proc", source: "proc" },
				{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
			],
			linux: {
				namespaces: ["pid", "mount", "ipc"].map((type) => ({ type })),
				seccomp: JSON.parse(require("node:fs").readFileSync(profile)),
			},
		}));' "$work/root" "$work/profile.json" >"$work/$1/config.json"
	runc run --detach --bundle "$work/$1" "$1" </dev/null >/dev/null
}

# Of each process: what is its alone (anonymous), and with the files that it has mapped, mostly Node itself, of which
# processes share one copy (RSS).
report() { # WHAT
	local name pid
	for name in keeper supervisor agent; do
		case $name in
		keeper) pid=$keeper ;;
		supervisor) pid=$daemon ;;
		agent) pid=$(tr ' ' '\n' <"/proc/$daemon/task/$daemon/children" | head -n 1) ;;
		esac
		awk -v what="$1" -v name="$name" '
			/^Rss:/ { rss = $2 / 1024 } /^Anonymous:/ { own = $2 / 1024 }
			END { printf "%-28s %-10s anonymous %4.0f MiB  RSS %4.0f MiB\n", what, name, own, rss }' "/proc/$pid/smaps_rollup"
	done
}

for count in "$@"; do
	while [ $started -lt "$count" ]; do
		started=$((started + 1))
		start_one "memory-$started"
	done
	sleep 5
	report "$count containers"
done
bin/bpfns top --json --interval 1 >"$work/top" &
watcher=$!
sleep 10
report "$started containers, watched"
