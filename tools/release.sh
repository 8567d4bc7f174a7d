#!/bin/bash
# Makes a release of the version in package.json, and stops at the first thing that is not as it should be
# (`make release`). What is to be published is in build/packages and in podman's storage afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(node -p "require('./package.json').version")
stop() { echo "$0: $*" >&2 && exit 1; }

[ -z "$(git status --porcelain)" ] || stop "there are changes that are not committed"
grep -qE "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
	stop "CHANGELOG.md has no section '## [$version] - YYYY-MM-DD'"
unreleased=$(sed -n '/^## \[Unreleased\]/,/^## \[[0-9]/p' CHANGELOG.md | grep -E '^- ' || true)
[ -z "$unreleased" ] || stop "CHANGELOG.md has changes under [Unreleased]: they belong to $version"
if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then stop "v$version is tagged already"; fi

make --no-print-directory build lint
make --no-print-directory check TESTS=build/js/test/packages.test.js
make --no-print-directory image
(cd build/packages && sha256sum --check --strict SHA256SUMS)

cat <<-NEXT

	$version is made. Left to do, once CI has passed on this commit:
	  git tag -s v$version && git push origin v$version
	  publish build/packages with SHA256SUMS, and the image: podman push bpfns:$version REGISTRY/bpfns:$version
NEXT
