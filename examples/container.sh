#!/bin/bash
# Runs a command in a container that is a BPF namespace. Needs podman, and the daemon:
#
#     bpfns daemon &          # or: systemctl start bpfns
#     examples/container.sh IMAGE bpftool map list
#
# The container has CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and not CAP_SYS_ADMIN.
set -euo pipefail

if [ $# -lt 2 ]; then
	echo "usage: $0 [OPTION OF podman run...] IMAGE COMMAND [ARG...]" >&2
	exit 2
fi
profile=$(mktemp --suffix=.json)
trap 'rm -f "$profile"' EXIT

# The engine installs the profile's filter and sends its listener to the daemon's socket.
bpfns profile --output "$profile"
# PODMAN may hold options too: PODMAN="podman --runtime crun"
read -ra podman <<<"${PODMAN:-podman}"
"${podman[@]}" run --rm --security-opt "seccomp=$profile" \
	--cap-drop=all --cap-add=bpf,perfmon,net_admin "$@"
