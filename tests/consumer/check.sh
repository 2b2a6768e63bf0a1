#!/usr/bin/env bash
# A project of somebody else, configured, built and run:
#   check.sh installed BUILD SCRATCH BITS   against `cmake --install` of the build folder BUILD, moved to another place
#   check.sh sources SOURCE SCRATCH BITS    with the checkout SOURCE as a part of it, in a debug build
# BITS is the same program compiled as a part of Plumbline: its output has to be repeated.
set -euo pipefail
how=$1 from=$2 scratch=$3 bits=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$(dirname "$(dirname "$here")")} CCACHE_NOHASHDIR=1
fail() { echo "consumer: $*" >&2; exit 1; }

# The libraries and the compiler that the build of BITS found, wherever they are: not others of the same machine.
cache=$(dirname "$bits")/CMakeCache.txt
found=()
while IFS= read -r entry; do found+=("-D$entry"); done < <(sed -nE \
  '/NOTFOUND$/d; s/^((Boost|boost_[a-z]+|CLI11|Eigen3|TBB|fmt|nlohmann_json)_DIR|Boost_[A-Z_]+|CMAKE_CXX_COMPILER|ZLIB_ROOT|BOOST_ROOT):[A-Z]+=(.+)$/\1=\3/p' \
  "$cache")
elsewhere=$(sed -nE 's/^CMAKE_PREFIX_PATH:[A-Z]+=//p' "$cache")
configure() { cmake -G Ninja -S "$here" --no-warn-unused-cli "${found[@]}" "$@"; }

case $how in
  installed)
    rm -rf "$scratch"
    mkdir -p "$scratch"
    # What is installed may not be built yet: nothing but this test needs the pages.
    cmake --build "$from" --target plumbline_production plumbline_reference plumbline_harness plumbline_pages >"$scratch/build.log" ||
      fail "$(tail -40 "$scratch/build.log")"
    for component in library program; do
      cmake --install "$from" --prefix "$scratch/first" --component $component >"$scratch/install.log"
    done
    mv "$scratch/first" "$scratch/prefix"  # nothing may know where it was installed
    prefix=$scratch/prefix
    source=$(sed -n 's/^plumbline_SOURCE_DIR:STATIC=//p' "$from/CMakeCache.txt")
    if grep -rlF -e "$source" -e "$scratch/first" "$prefix"; then fail "these files name the folder of the build"; fi
    # The program finds its data, from anywhere, and without them says where it looked.
    plumbline=$prefix/bin/plumbline
    cd /
    "$plumbline" case 'shape=10 trace=digits_cnn tensor=fc.bias steps=3 seed=1' --subject host >"$scratch/case.txt" ||
      fail "the installed program judges no recorded case: $(cat "$scratch/case.txt")"
    grep -qF "$prefix" <<<"$("$plumbline" --version)" || fail "--version does not name the data's folder: $("$plumbline" --version)"
    mkdir "$scratch/alone"
    cp "$plumbline" "$scratch/alone/"
    if "$scratch/alone/plumbline" verify --suite quick --subject host --report "$scratch/none" 2>"$scratch/alone.txt"; then
      fail "a program without its data is green"
    fi
    grep -q 'give their folder as --data or PLUMBLINE_DATA' "$scratch/alone.txt" || fail "$(cat "$scratch/alone.txt")"
    "$scratch/alone/plumbline" --data "$prefix/share/plumbline/data" case \
      'shape=10 trace=digits_cnn tensor=fc.bias steps=1 seed=1' --subject host >/dev/null || fail "--data"
    # Its pages.
    test -s "$prefix/share/man/man1/plumbline.1" || fail "no man page"
    COMP_WORDS=(plumbline ver) COMP_CWORD=1
    source "$prefix/share/bash-completion/completions/plumbline"
    _plumbline
    [[ ${COMPREPLY[*]} == verify ]] || fail "completion of 'ver': ${COMPREPLY[*]}"
    COMP_WORDS=(plumbline verify --bud) COMP_CWORD=2
    _plumbline
    [[ ${COMPREPLY[*]} == --budget ]] || fail "completion of 'verify --bud': ${COMPREPLY[*]}"
    configure -B "$scratch/build" -DCMAKE_PREFIX_PATH="$prefix${elsewhere:+;$elsewhere}" >"$scratch/configure.log" ||
      fail "$(cat "$scratch/configure.log")"
    ;;
  sources)
    mkdir -p "$scratch"
    configure -B "$scratch" -DCMAKE_PREFIX_PATH="$elsewhere" -DPLUMBLINE_SOURCE="$from" -DCMAKE_BUILD_TYPE=Debug \
      -DCMAKE_CXX_FLAGS=-DEXPECT_PLAIN -DPLUMBLINE_UNITY=ON >"$scratch/configure.log" || fail "$(cat "$scratch/configure.log")"
    ln -sfn . "$scratch/build"
    ;;
  *) fail "'$how': expected installed or sources" ;;
esac
targets=(bits)
if [[ $how == installed ]]; then targets+=(judge); fi
ninja -C "$scratch/build" --quiet "${targets[@]}" || fail "does not build"
diff <("$bits") <("$scratch/build/bits") || fail "other bits than the library's own build"
if [[ $how == installed ]]; then "$scratch/build/judge"; fi
echo "consumer, $how: $("$scratch/build/bits" | tail -1)"
