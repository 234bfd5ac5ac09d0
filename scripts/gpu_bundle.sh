#!/usr/bin/env bash
# Packs what gpu_check.sh and gpu_bench.sh need, for a machine that has a GPU and the CUDA toolkit
# but neither this repository nor the libraries: scripts/gpu_bundle.sh BUILD_DIR
#
# Makes BUILD_DIR/gpu-bundle/ and BUILD_DIR/gpu-bundle.tar.gz: programs without debugging
# information, fixtures, scripts, and every shared library that the programs need but those of
# glibc. cuBLASLt is not in it; the program loads the toolkit's. There:
#   tar xzf gpu-bundle.tar.gz && gpu-bundle/scripts/gpu_check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: gpu_bundle.sh BUILD_DIR}
bundle=$build/gpu-bundle
glibc='ld-linux[^/]*|linux-vdso|lib(c|m|dl|rt|pthread|util|resolv)\.so[^/]*'

rm -rf "$bundle" "$bundle.tar.gz"
mkdir -p "$bundle"/{build/tests,lib/gcc,scripts,tests/perf/peers,tests/fixtures}
programs=("$build/gptbench")
for name in test_conformance test_parity bench_gpu; do
    [ ! -x "$build/tests/$name" ] || programs+=("$build/tests/$name")
done
for program in "${programs[@]}"; do
    strip -o "$bundle/build/${program#"$build"/}" "$program"
    if ldd "$program" | grep 'not found'; then
        echo "gpu-bundle: $program needs libraries that are not here" >&2
        exit 3
    fi
    ldd "$program" | awk '$2 == "=>" && $3 ~ "^/" { print $3 }'
done | sort -u | grep -vE "/($glibc)$" | while read -r library; do
    case $library in
    */libstdc++.so* | */libgcc_s.so*) cp -L "$library" "$bundle/lib/gcc/$(basename "$library")" ;;
    *) cp -L "$library" "$bundle/lib/$(basename "$library")" ;;
    esac
done
cp scripts/gpu_*.sh "$bundle/scripts/"
cp tests/perf/peers/*.py "$bundle/tests/perf/peers/"
cp -r tests/fixtures/parity "$bundle/tests/fixtures/"
tar czf "$bundle.tar.gz" -C "$build" gpu-bundle
echo "$bundle.tar.gz: $(du -h "$bundle.tar.gz" | cut -f1)," \
    "$(find "$bundle/lib" -type f | wc -l) libraries, $((${#programs[@]})) programs"
