#!/bin/bash
# `make packages`: makes build/packages from the build: the npm package and its dependencies, the Debian
# package, and checksums. Equal sources give equal bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(node -p "require('./package.json').version")
# The Debian architecture, and npm's name for it.
arch=${ARCH:-$(dpkg --print-architecture)}
case $arch in
amd64) cpu=x64 ;;
*) echo "$0: there is no package for $arch" >&2 && exit 1 ;;
esac
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
umask 022

packages=build/packages
stage=build/stage
rm -rf "$packages" "$stage"
mkdir -p "$packages" "$stage"
licences() { node build/js/tools/licences.js "$1"; }

# bpfns-VERSION.tgz bundles everything except koffi, which finds its native module itself.
npm_package() {
	local root=$stage/npm
	mkdir -p "$root/build" "$root/bin" "$root/man"
	cp bin/bpfns "$root/bin"
	cp -r build/lib build/types "$root/build"
	cp build/man/bpfns.8 build/man/bpf_namespaces.7 build/man/bpfns.conf.5 "$root/man"
	cp -r LICENSE LICENSES README.md CHANGELOG.md packaging/bpfns.toml packaging/systemd/bpfns.service build/completions "$root"
	licences notices >"$root/THIRD-PARTY-NOTICES"
	node -e '
		const { name, version, description, license, type, os, engines, bin, exports, dependencies } = require("./package.json");
		const { koffi } = dependencies;
		const man = ["man/bpfns.8", "man/bpf_namespaces.7", "man/bpfns.conf.5"];
		const cpu = [process.argv[1]];
		const made = { name, version, description, license, type, os, cpu, engines, bin, exports, man, dependencies: { koffi } };
		console.log(JSON.stringify(made, undefined, 2));' "$cpu" >"$root/package.json"
	npm pack --silent --pack-destination "$packages" "./$root" >/dev/null
}

# Its dependencies, from the registry, checked against package-lock.json.
npm_dependencies() {
	local name file
	for name in koffi "@koromix/koffi-linux-$cpu"; do
		file=$packages/$(npm pack --silent --prefer-offline --pack-destination "$packages" \
			"$name@$(node -p "require('./package-lock.json').packages['node_modules/$name'].version")")
		node -e '
			const [name, file] = process.argv.slice(1);
			const { integrity } = require("./package-lock.json").packages["node_modules/" + name];
			const data = require("node:fs").readFileSync(file);
			const found = "sha512-" + require("node:crypto").createHash("sha512").update(data).digest("base64");
			if (found !== integrity) throw new Error(file + " is not the package that package-lock.json names");' \
			"$name" "$file"
	done
}

debian_package() {
	local root=$stage/debian doc=$stage/debian/usr/share/doc/bpfns
	make --no-print-directory install DESTDIR="$root" PREFIX=/usr NATIVE="linux-$cpu" >/dev/null
	install -D -m 644 -t "$root/usr/lib/systemd/system" packaging/systemd/{bpfns,bpfns-web}.service
	install -D -m 644 packaging/bpfns.toml "$root/etc/bpfns/bpfns.toml"
	install -D -m 644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/bpfns"
	mkdir -p "$doc" "$root/DEBIAN"
	cp CHANGELOG.md "$doc/CHANGELOG.md"
	changelog >"$doc/changelog"
	copyright >"$doc/copyright"
	gzip -9n "$doc/CHANGELOG.md" "$doc/changelog" "$root"/usr/share/man/man?/*
	install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN"
	echo /etc/bpfns/bpfns.toml >"$root/DEBIAN/conffiles"
	(cd "$root" && find etc usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
	sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$(du -ks --apparent-size "$root/usr" | cut -f 1)/" \
		packaging/debian/control.in >"$root/DEBIAN/control"
	find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	# One thread: the compressor's output depends on their number.
	dpkg-deb --root-owner-group --threads-max=1 --build "$root" "$packages/bpfns_${version}_$arch.deb" >/dev/null
}

changelog() {
	printf 'bpfns (%s) unstable; urgency=medium\n\n' "$version"
	printf '  * What changed is in CHANGELOG.md.\n\n'
	printf ' -- The bpfns developers <bpfns@localhost>  %s\n' "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

copyright() {
	sed -e '/@BSD@/{r LICENSES/BSD-2-Clause.txt' -e 'd}' -e '/@NOTICES@/d' packaging/debian/copyright.in
	licences debian
}

echo '1 of 3: the npm package'
npm_package
echo '2 of 3: the npm packages that it needs'
npm_dependencies
echo "3 of 3: the Debian package for $arch"
debian_package
(cd "$packages" && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS .)
ls -l "$packages"
