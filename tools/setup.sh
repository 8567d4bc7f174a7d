#!/bin/bash
# Installs the Debian packages that the build, the demo or the tests need, and mounts bpffs and tracefs.
# Usage: tools/setup.sh build|demo|lint|test|vm
set -euo pipefail

build_packages=(clang gcc go-md2man libc6-dev libbpf-dev linux-libc-dev)
demo_packages=("${build_packages[@]}" bpftool bpftrace util-linux)
lint_packages=(clang-format shellcheck)
test_packages=("${demo_packages[@]}" "${lint_packages[@]}" iproute2 xdp-tools libxdp-dev
	golang-github-cilium-ebpf-dev golang-github-frankban-quicktest-dev
	busybox-static golang-go runc crun podman uidmap containerd systemd strace zsh fish
	mmdebstrap lintian tmux chromium fonts-dejavu-core prometheus)
vm_packages=("${test_packages[@]}" qemu-system-x86 qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	cpio debian-archive-keyring libcap2-bin procps xz-utils)

case ${1:-} in
build) packages=("${build_packages[@]}") ;;
demo) packages=("${demo_packages[@]}") ;;
lint) packages=("${lint_packages[@]}") ;;
test) packages=("${test_packages[@]}") ;;
vm) packages=("${vm_packages[@]}") ;;
*) echo "usage: $0 build|demo|lint|test|vm" >&2 && exit 2 ;;
esac

if [ "$(id -u)" != 0 ]; then
	echo "$0: needs root, to install packages and mount file systems" >&2
	exit 1
fi

missing=()
for package in "${packages[@]}"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
# Says on a terminal how far apt is: in one line that is gone at its end.
progress() {
	local kind percent text
	while IFS=: read -r kind _ percent text; do
		case $kind in dlstatus | pmstatus) printf '\r\e[K%3.0f %% %.70s' "$percent" "$text" >&2 ;; esac
	done
	printf '\r\e[K' >&2
}
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${#missing[@]} packages: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive LC_NUMERIC=C
	apt-get update -qq
	install=(apt-get install -y -qq --no-install-recommends)
	if [ -t 2 ]; then
		{ "${install[@]}" -o APT::Status-Fd=3 "${missing[@]}" 3>&1 >/dev/null; } | progress
	else
		"${install[@]}" "${missing[@]}" >/dev/null
	fi
fi

mount_if_absent() { # TYPE DIRECTORY MODE
	if ! findmnt -n -t "$1" "$2" >/dev/null; then
		echo "mounting $1 at $2"
		mount -t "$1" -o "mode=$3" "$1" "$2"
	fi
}
mount_if_absent bpf /sys/fs/bpf 0755
mount_if_absent tracefs /sys/kernel/tracing 0700
