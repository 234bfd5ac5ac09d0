#!/usr/bin/env bash
# Packs evidence.sh with all that it needs, for a machine that has a GPU and the CUDA toolkit, or
# PyTorch's packages, but neither this repository nor the libraries: scripts/evidence/pack.sh BUILD_DIR
#
# Makes BUILD_DIR/gpu-evidence.tar.gz: programs without debugging information, fixtures, scripts,
# PyTorch's peers, and every shared library that the programs need but those of glibc. cuBLASLt and
# CUPTI are not in it; they are looked for there. Refused where a file needs a later glibc than 2.36,
# or the archive is larger than 45 MB. There:
#   tar xzf gpu-evidence.tar.gz && gpu-evidence/evidence.sh
#
# Environment: CUDA_ARCHS, NVCC: what the programs were built for and with, for the record.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: pack.sh BUILD_DIR}
folder=$build/gpu-evidence
glibc='ld-linux[^/]*|linux-vdso|lib(c|m|dl|rt|pthread|util|resolv)\.so[^/]*'
newest_glibc=2.36 largest_mb=45

refuse() {
    echo "gpu-evidence: $1" >&2
    exit 3
}

rm -rf "$folder" "$folder.tar.gz"
mkdir -p "$folder"/{build/tests,lib/gcc,scripts,tests/perf/peers,tests/fixtures}
for program in gptbench tests/test_conformance tests/test_attention_bounds tests/test_attention_full tests/test_parity tests/bench_gpu; do
    [ -x "$build/$program" ] || refuse "$build/$program is not built; \`make gpu-evidence\` does it"
    strip -o "$folder/build/$program" "$build/$program"
    if missing=$(ldd "$build/$program" | grep 'not found'); then
        refuse "$build/$program needs libraries that are not here: $missing"
    fi
    ldd "$build/$program" | awk '$2 == "=>" && $3 ~ "^/" { print $3 }'
done | sort -u | grep -vE "/($glibc)$" | while read -r library; do
    case $library in
    */libstdc++.so* | */libgcc_s.so*) cp -L "$library" "$folder/lib/gcc/$(basename "$library")" ;;
    *) cp -L "$library" "$folder/lib/$(basename "$library")" ;;
    esac
done
cp -r scripts/evidence.sh scripts/evidence "$folder/scripts/"
printf '#!/usr/bin/env bash\nexec bash "$(dirname "$0")/scripts/evidence.sh" "$@"\n' >"$folder/evidence.sh"
chmod +x "$folder/evidence.sh"
cp tests/perf/peers/*.py "$folder/tests/perf/peers/"
cp -r tests/fixtures/parity "$folder/tests/fixtures/"

for file in $(find "$folder/build" "$folder/lib" -type f); do
    # Of what is not a weak reference: the loader refuses a file for those alone.
    needed=$(objdump -T "$file" | grep -v ' w ' | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1)
    [ "$(printf '%s\n' "${needed:-0}" $newest_glibc | sort -V | tail -n 1)" = $newest_glibc ] ||
        refuse "$file needs glibc $needed; at most $newest_glibc is meant to do"
done
{
    "$build/gptbench" --version | sed -n 's/^commit */commit /p'
    [ -z "${NVCC:-}" ] || "$NVCC" --version | sed -n 's/.*release \(.*\), .*/nvcc \1/p'
    [ -z "${CUDA_ARCHS:-}" ] || echo "machine code for sm_${CUDA_ARCHS// / sm_} and PTX for compute_80"
    date -u '+on %Y-%m-%d'
} >"$folder/BUILT"
tar czf "$folder.tar.gz" -C "$build" gpu-evidence
bytes=$(stat -c %s "$folder.tar.gz")
[ "$bytes" -le $((largest_mb * 1000000)) ] || refuse "$folder.tar.gz has $bytes bytes; at most $largest_mb MB are meant to do"
echo "$folder.tar.gz: $((bytes / 100000 / 10)).$((bytes / 100000 % 10)) MB, $(find "$folder/lib" -type f | wc -l) libraries; $(paste -sd, "$folder/BUILT" | sed 's/,/, /g')"
