#!/bin/bash
# Builds the image bpfns:VERSION with podman (`make image`), and checks it. `make packages` comes first.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(node -p "require('./package.json').version")
arch=$(dpkg --print-architecture)
suite=trixie
# Unpacked, in MB.
limit=180
context=build/image
base=build/roots/image-$suite.tar
rm -rf "$context" && mkdir -p "$context" build/roots

step() { echo "$1 of 4: $2"; }

step 1 "Debian $suite with Node, to start from: takes minutes, once"
# Node, libbpf and what Debian deems essential; of the documentation the licences alone.
if ! [ -e "$base" ]; then
	exclude() { printf -- '--dpkgopt=path-exclude=%s\n' "$@"; }
	mapfile -t options < <(exclude '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/info/*' '/usr/share/doc/*' \
		'/usr/share/nodejs/corepack/*')
	mmdebstrap --quiet --variant=essential --include=nodejs,libbpf1 "${options[@]}" \
		--dpkgopt='path-include=/usr/share/doc/*/copyright' --format=tar "$suite" "$base.new"
	mv "$base.new" "$base"
fi

step 2 'what else goes in: seccomp profile, package, SBOM'
# One file of a package that would bring much more: 354 MB in all.
(cd "$context" && apt-get download -qq golang-github-containers-common)
dpkg-deb --fsys-tarfile "$context"/golang-github-containers-common_*.deb |
	tar -xC "$context" ./usr/share/containers/seccomp.json ./usr/share/doc/golang-github-containers-common/copyright
mv "$context/usr/share/containers/seccomp.json" "$context"
mv "$context/usr/share/doc/golang-github-containers-common/copyright" "$context/seccomp.copyright"
rm -r "${context:?}/usr" "$context"/*.deb

cp "build/packages/bpfns_${version}_$arch.deb" "$context/bpfns.deb"
tar -xOf "$base" ./var/lib/dpkg/status >"$context/status"
node build/js/tools/licences.js sbom "$context/status" >"$context/sbom.cdx.json"
rm "$context/status"

step 3 'the image'
podman import --quiet "$base" localhost/bpfns-base:$suite
# chroot: no network namespace and no limits of its own, which not every machine can give.
podman build --quiet --format docker --isolation chroot --network host --build-arg BASE=localhost/bpfns-base:$suite \
	--file packaging/image/Containerfile --tag "bpfns:$version" "$context"

step 4 'checks'
size=$(($(podman image inspect --format '{{.Size}}' "bpfns:$version") / 1000000))
echo "bpfns:$version: $size MB unpacked"
if [ "$size" -gt "$limit" ]; then echo "$0: more than $limit MB" >&2 && exit 1; fi

run() { # bpfns in the image, as in the DaemonSet's container
	podman --runtime runc --cgroup-manager cgroupfs run --rm --privileged --pid host --network host --no-healthcheck \
		--ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --volume /sys/fs/bpf:/sys/fs/bpf \
		--volume /sys/kernel/tracing:/sys/kernel/tracing "bpfns:$version" "$@"
}
[ "$(run bpfns --version)" = "$version" ]
run bpfns doctor >"$context/doctor"
run bpfns profile --base /usr/share/containers/seccomp.json >"$context/profile"
grep -q seccomp.sock "$context/profile"
run sh -c 'cat /usr/share/bpfns/sbom.cdx.json && test -s /usr/share/doc/bpfns/copyright' >"$context/sbom"
for name in libbpf1 nodejs koffi; do grep -q "\"name\": \"$name\"" "$context/sbom"; done
echo "checked: version, doctor, profile, SBOM, licences"
