#!/bin/bash
# `make demo`: shows on real objects what bpfns does.
set -euo pipefail
cd "$(dirname "$0")/.."

# BPFNS names an installed program to use instead.
bpfns=${BPFNS:-bin/bpfns}
pins=/sys/fs/bpf/bpfns-demo
work=$(mktemp -d)
chmod 755 "$work"
busy=
cleanup() {
	# The guests end when their end of the pipe closes.
	exec 7>&- 8>&-
	[ -z "$busy" ] || kill "$busy"
	wait 2>/dev/null
	rm -rf "$pins" "$work"
}
trap cleanup EXIT

# The user that bpfns is for: with CAP_BPF and related capabilities, without CAP_SYS_ADMIN.
# shellcheck disable=SC2054 # setpriv wants the commas
user=(setpriv --reuid=65534 --regid=65534 --clear-groups
	--bounding-set=-all,+bpf,+perfmon,+net_admin
	--inh-caps=-all,+bpf,+perfmon,+net_admin
	--ambient-caps=-all,+bpf,+perfmon,+net_admin)

bold=$'\e[1m' plain=$'\e[0m'
[ -t 1 ] || bold='' plain=''
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { # COMMAND; $label, if set, is printed instead of it
	printf '$ %s\n' "${label:-$*}"
	"$@" 2>&1 | sed 's/^/  /' || true
}

mkdir -p "$pins"
chown 65534 "$pins"
chmod 755 /sys/fs/bpf
bpftool map create "$pins/host" type hash key 4 value 4 entries 8 name host_map

say "1. A user with CAP_BPF, but without CAP_SYS_ADMIN, cannot list even their own BPF objects:"
label='bpftool map list' show "${user[@]}" bpftool map list

say "2. The same user, the same bpftool, under 'bpfns run'. It attaches a program, makes a map, and looks:"
cp build/guests/attach "$work" # the user may not get at it here, as in /root
cat >"$work/guest.sh" <<-GUEST
	$work/attach &
	loader=\$!
	until bpftool link list 2>/dev/null | grep -q '^1:'; do sleep 0.1; done
	bpftool map create $pins/\$1 type hash key 4 value 4 entries 8 name \$1
	bpftool map update id 2 key 1 0 0 0 value 42 0 0 0
	if [ "\$2" = talk ]; then
	    for object in map prog link; do echo "\\$ bpftool \$object list"; bpftool \$object list | sed 's/^/  /'; done
	    echo "\\$ bpftool map dump id 2"; bpftool map dump id 2 | sed 's/^/  /'
	fi
	echo ready >&9
	read -r _ || true
	kill \$loader
GUEST
mkfifo "$work/stop1" "$work/stop2" "$work/ready"
guest() { # NAME talk|quiet FIFO
	"$bpfns" run --name "$1" -- "${user[@]}" sh "$work/guest.sh" "$1" "$2" <"$3" 9>"$work/ready" &
}
guest web talk "$work/stop1"
exec 7>"$work/stop1"
read -r _ <"$work/ready"
echo "   Ids start at 1, and the host's map is not there."

say "3. A second namespace beside it has maps 1 and 2 of its own, and neither sees the other's:"
guest db quiet "$work/stop2"
exec 8>"$work/stop2"
read -r _ <"$work/ready"
show "$bpfns" ls

say "4. The host sees everything under the kernel's own ids, and knows whose it is:"
for kind in map link; do
	echo "\$ bpfns $kind list"
	"$bpfns" "$kind" list | awk 'NR == 1 || $2 != "init" || /host_map/' | sed 's/^/  /'
done
id=$("$bpfns" map list | awk '$2 ~ /:db$/ && $5 == "db" { print $1; exit }')
show "$bpfns" who map "$id"

if command -v bpftrace >/dev/null; then
	say "5. Not names only: sight, too. The same bpftrace one-liner in two namespaces, with CAP_BPF alone, while the host is busy:"
	script='tracepoint:raw_syscalls:sys_enter { @[comm] = count(); } interval:s:1 { exit(); }'
	for app in web-app db-app host-app; do cp "$(command -v dd)" "$work/$app"; done
	forever() { echo "while :; do $work/$1 if=/dev/zero of=/dev/null bs=1 count=9999 2>/dev/null; done"; }
	traced() { # NAME: what its bpftrace prints
		"$bpfns" run --tracing=own -- setpriv --bounding-set=-all,+bpf --inh-caps=-all,+bpf sh -c \
			"$(forever "$1") & bpftrace -e '$script' 2>/dev/null; kill \$!" >"$work/$1.out"
	}
	sh -c "$(forever host-app)" &
	busy=$!
	traced web-app &
	web=$!
	traced db-app &
	wait $! "$web"
	kill "$busy"
	busy=
	printf '$ %s\n' "bpftrace -e '$script'"
	paste -d '|' "$work/web-app.out" "$work/db-app.out" |
		awk -F '|' 'NR == 1 { print "  in one namespace    in the other" } /@/ { printf "  %-20s%s\n", $1, $2 }'
else
	say "5. Left out, as there is no bpftrace: the same bpftrace one-liner in two namespaces, with CAP_BPF alone."
fi

say "Done. The guests end now; with the last of them bpfns takes itself down."
