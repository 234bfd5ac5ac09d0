#!/usr/bin/env bash
# Makes sure that the packages gptbench needs are there: scripts/deps.sh [build] [test] [lint] [valgrind] [tsan]
# (default: build). Installs what is missing through apt when this user may do that without a
# password, else prints the line to run and exits 3. Does nothing, quickly, when all is there.
set -euo pipefail

declare -A packages=(
    [build]="libinih-dev libsqlite3-dev libjansson-dev libpcre2-dev libxxhash-dev"
    [test]="libcmocka-dev sqlite3 jq"
    [lint]="clang-tidy cppcheck"
    [valgrind]="valgrind"
    [tsan]="clang libomp-dev"
)
# Products of bfloat16 on the CPU's own instructions for them.
onednn=()
if [ "$(uname -m)" = x86_64 ]; then
    onednn=(-include oneapi/dnnl/dnnl.h -ldnnl)
    packages[build]+=" libdnnl-dev"
fi
# Commands that several packages can bring: command=package.
declare -A commands=(
    [build]="${CC:-gcc}=gcc make=make gnuplot=gnuplot-nox"
    [test]="clang-format=clang-format g++=g++ prove=perl"
    [lint]="clang-format=clang-format"
    [valgrind]="valgrind=valgrind"
    [tsan]="clang=clang"
)

missing=()
for set_name in "${@:-build}"; do
    if [ -z "${packages[$set_name]+known}" ]; then
        echo "deps.sh: unknown set '$set_name'; there are build, test, lint, valgrind and tsan" >&2
        exit 2
    fi
    for pair in ${commands[$set_name]}; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair##*=}")
    done
    if command -v dpkg-query >/dev/null; then
        installed=" $(dpkg-query -W -f '${db:Status-Status}=${Package} ' ${packages[$set_name]} 2>/dev/null || true)"
        for package in ${packages[$set_name]}; do
            [[ "$installed" == *" installed=$package "* ]] || missing+=("$package")
        done
    fi
done

# Elsewhere than on Debian and its relatives: does a program with these libraries link?
if ! command -v dpkg-query >/dev/null; then
    probe=$(mktemp -d)
    trap 'rm -rf "$probe"' EXIT
    cat >"$probe/probe.c" <<'PROBE'
#define PCRE2_CODE_UNIT_WIDTH 8
#include <ini.h>
#include <jansson.h>
#include <pcre2.h>
#include <sqlite3.h>
#include <xxhash.h>
int main(void)
{
    return 0;
}
PROBE
    if ! "${CC:-gcc}" -o "$probe/probe" "$probe/probe.c" -linih -lsqlite3 -ljansson \
        -lpcre2-8 -lxxhash "${onednn[@]}" >"$probe/log" 2>&1; then
        cat "$probe/log" >&2
        echo "deps.sh: not a Debian system, and a program with the libraries above does not build." >&2
        echo "Wanted, by their Debian names: ${packages[build]} gnuplot-nox gcc make" >&2
        exit 3
    fi
fi

[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
fi
install_line="apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    echo "gptbench needs packages that are not installed. As an administrator, run:" >&2
    echo >&2
    echo "    sudo $install_line" >&2
    echo >&2
    exit 3
fi
echo "installing: ${missing[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq ||
    echo "deps.sh: package lists could not be refreshed; trying with those there are" >&2
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install_line -qq >/dev/null; then
    echo "deps.sh: the packages could not be installed; this is the line that failed:" >&2
    echo "    sudo $install_line" >&2
    exit 3
fi
