#!/usr/bin/env bash
# check.sh PACKAGES: what `./run package` left in the folder PACKAGES is unpacked elsewhere and used as its reader would
# use it: by somebody who is not root, without the checkout.
set -euo pipefail
packages=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
fail() { echo "packages: $*" >&2; exit 1; }
as_user=()
if ((EUID == 0)); then as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups); fi

use() {  # PREFIX: verifies a hundredth of the quick suite, and reads the pages
  local plumbline=$1/bin/plumbline report=$scratch/$2
  mkdir -m 777 "$report"
  (cd / && "${as_user[@]}" "$plumbline" verify --suite quick --subject host --shard 0/100 --report "$report/verify") >"$scratch/out" ||
    fail "$plumbline: $(cat "$scratch/out")"
  test -s "$report/verify/report.html" || fail "no report of $plumbline"
  test -s "$1/share/man/man1/plumbline.1" || test -s "$1/share/man/man1/plumbline.1.gz" || fail "no man page in $1"
  if command -v man >/dev/null; then
    MANROFFSEQ='' MANWIDTH=100 man --warnings -l "$1"/share/man/man1/plumbline.1* >"$scratch/page" 2>"$scratch/man" || fail "no page"
    grep -q -e '--budget' "$scratch/page" || fail "a page without --budget"
    if [[ -s $scratch/man ]]; then fail "man page: $(cat "$scratch/man")"; fi
  fi
}

program=("$packages"/plumbline*.deb) library=("$packages"/libplumbline*-dev_*.deb) archive=("$packages"/plumbline*.tar.gz)
for file in "${program[0]}" "${library[0]}" "${archive[0]}"; do test -s "$file" || fail "$file is missing"; done
for wanted in libtbb libfmt libc6; do
  grep -q "$wanted" <<<"$(dpkg-deb -f "${program[0]}" Depends)" || fail "${program[0]} does not depend on $wanted"
done
dpkg-deb -x "${program[0]}" "$scratch/deb"
use "$scratch/deb/usr" deb-report
mkdir "$scratch/tar"
tar -xzf "${archive[0]}" -C "$scratch/tar" --strip-components=1
use "$scratch/tar" tar-report
dpkg-deb -c "${library[0]}" >"$scratch/contents"  # to its end: a reader that leaves early would make it fail
grep -q 'include/plumbline/cuda/api/optimizer.h' "$scratch/contents" || fail "no headers in ${library[0]}"
grep -q 'cmake/plumbline/plumblineConfig.cmake' "$scratch/contents" || fail "no CMake package in ${library[0]}"
echo "packages: $(cd "$packages" && ls | tr '\n' ' ')"
