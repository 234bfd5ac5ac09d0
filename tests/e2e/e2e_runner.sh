#!/usr/bin/env bash
# tests/run_tests.sh itself, in a made-up tree with programs that pass, fail, crash, hang or stop in the
# middle: none of that goes by unseen, and the last line counts single checks.
# kinds: plain (it does not run the program)
. "$(dirname "$0")/lib.sh"
needs "the test runner" prove
unset GPTBENCH_TEST_ONLY GPTBENCH_TEST_RESULTS

mkdir -p tree/{tests/{e2e,simt,unit/room},scripts} tree/{build,asan,simt}/tests
cp "$root"/tests/run_{tests,one}.sh tree/tests
printf 'echo "ok - formatting"\necho 1..1\n' >tree/scripts/format_check.sh
script() { # NAME LINE...
    printf '%s\n' '#!/usr/bin/env bash' "${@:2}" >"tree/tests/e2e/e2e_$1.sh"
}
unit() { # NAME KINDS FOLDER LINE...: its source, and a program that plays it in one of the builds
    printf '%s\n' '/* A test.' " * kinds: $2. */" >"tree/tests/unit/room/test_$1.c"
    printf '%s\n' '#!/usr/bin/env bash' "${@:4}" >"tree/$3/tests/test_$1"
    chmod +x "tree/$3/tests/test_$1"
}
# runs ARGUMENT...: the suite of the made-up tree; what it printed is in out.
runs() {
    bash tree/tests/run_tests.sh "$@" >out 2>err
    rc=$?
}
# ends WHAT STATUS LAST-LINE [PATTERN...]: how that ended, and lines that it must have printed
ends() {
    local what=$1 pattern good=0
    [ "$rc" -eq "$2" ] && [ "$(tail -n 1 out)" = "$3" ] || good=1
    for pattern in "${@:4}"; do
        grep -qE -- "$pattern" out || good=1
    done
    check "$what: $3" $good
}
only() { # NAME: that program alone
    GPTBENCH_TEST_ONLY=$1 runs build
}

script good 'echo "ok - one"' 'echo "ok - two"' 'echo "# not ok - in a comment"' 'echo 1..2'
only e2e_good
ends "checks that pass" 0 "2 passed, 0 failed" '^.*e2e_good \.+ ok'
script fail 'echo "ok - one"' 'echo "not ok - two"' 'echo "#   the reason"' 'echo "to stderr" >&2' 'echo 1..2' 'exit 1'
only e2e_fail
ends "a check that fails" 1 "1 passed, 1 failed" '^FAIL e2e_fail: 1 passed, 1 failed$' '    \| not ok - two' 'the reason' 'to stderr'
script lie 'echo "not ok - one"' 'echo 1..1' 'exit 0'
only e2e_lie
ends "one that fails with exit status 0" 1 "0 passed, 1 failed" '^FAIL e2e_lie'
script skip 'echo "ok - one"' 'echo "ok - two # SKIP there is no such tool"' 'echo 1..2'
only e2e_skip
ends "a check that is skipped, and why" 0 "1 passed, 0 failed, 1 skipped" 'two # SKIP there is no such tool'
script none 'echo "1..0 # SKIP nothing of it can be checked"'
only e2e_none
ends "a program that is skipped, and why" 0 "0 passed, 0 failed, 1 skipped" 'nothing of it can be checked'
script half 'echo "ok - one"' 'echo 1..3'
only e2e_half
ends "fewer checks than planned" 1 "1 passed, 1 failed" '^FAIL e2e_half: .*ended in the middle'
script more 'echo "ok - one"' 'echo "ok - two"' 'echo 1..1'
only e2e_more
ends "more checks than planned" 1 "2 passed, 1 failed" '^FAIL e2e_more'
script open 'echo "ok - one"' 'exit 0' 'echo 1..2'
only e2e_open
ends "no plan" 1 "1 passed, 1 failed" '^FAIL e2e_open: .*ended in the middle'
script twice 'echo 1..1' 'echo "ok - one"' 'echo 1..1'
only e2e_twice
ends "two plans" 1 "1 passed, 1 failed" '^FAIL e2e_twice'
script silent 'exit 0'
only e2e_silent
ends "a program that prints nothing" 1 "0 passed, 1 failed" '^FAIL e2e_silent'
script zero 'echo 1..0'
only e2e_zero
ends "a program without a test" 1 "0 passed, 1 failed" '^FAIL e2e_zero: .*ran no test'
script status 'echo "ok - one"' 'echo 1..1' 'exit 7'
only e2e_status
ends "an exit status without a failed check" 1 "1 passed, 1 failed" '^FAIL e2e_status: .*exit status 7'
script crash 'echo "ok - one"' 'echo 1..1' 'ulimit -c 0' 'kill -SEGV $$'
only e2e_crash
ends "a crash after the last check" 1 "1 passed, 1 failed" '^FAIL e2e_crash: .*killed by signal 11'
script crashes 'echo 1..2' 'echo "not ok - one"' 'ulimit -c 0' 'kill -SEGV $$'
only e2e_crashes
ends "a crash after a failed check is one more" 1 "0 passed, 2 failed" '^FAIL e2e_crashes: .*killed by signal 11'
script hang 'echo "ok - one"' 'echo 1..1' 'sleep 61 &' 'echo $! >../tree/left' 'exec sleep 60'
start=$SECONDS
(cd tree && GPTBENCH_TEST_LIMIT_S=1 GPTBENCH_TEST_ONLY=e2e_hang bash tests/run_tests.sh build) >out 2>err
rc=$?
ends "one that hangs, after 1 s" 1 "1 passed, 1 failed" '^FAIL e2e_hang: .*stopped after 1 s'
[ $((SECONDS - start)) -lt 30 ]
check "and is not waited for" $?
kill "$(cat tree/left)" 2>/dev/null

script alone 'echo "ok - one"' 'echo 1..1' 'prove=$(ps -o ppid= $(ps -o ppid= $PPID))' 'kill -9 $prove' 'sleep 2'
GPTBENCH_TEST_JOBS=1 only 'e2e_[ag][lo]o*' # e2e_good does not come to its turn
ends "prove itself is killed" 1 "1 passed, 2 failed" '^FAIL e2e_alone: .*was not run to its end' '^FAIL e2e_good: .*was not run'

unit cmocka plain build 'echo 1..2' 'echo "ok 1 - one"' 'echo "not ok 2 # SKIP two"' 'echo "# ok - group"'
only test_cmocka
ends "a skipped test as old cmocka writes it" 0 "1 passed, 0 failed, 1 skipped"
unit gone plain build 'exit 0'
rm tree/build/tests/test_gone
only test_gone
ends "a program that was not built" 1 "0 passed, 1 failed" '^FAIL test_gone'
rm tree/tests/unit/room/test_gone.c
only nothing
ends "a name that no program has" 1 "0 passed, 0 failed"

runs nowhere
[ "$rc" -eq 2 ] && grep -q 'no folder nowhere' err
check "a folder that is not there is refused" $?

# ---- which kind runs where ----
rm tree/tests/e2e/*
unit cmocka 'plain' build 'echo "ok 1 - only plain"' 'echo 1..1'
unit asan 'sanitized first' asan 'echo "ok 1 - only sanitized"' 'echo 1..1'
unit cuda 'emulated' simt '[ "$GPTBENCH_CONFORMANCE" = cuda ] && echo "ok 1 - only emulated"' 'echo 1..1'
script both 'echo "ok - $1"' 'echo 1..1'
GPTBENCH_TEST_JOBS=1 runs --simt simt build asan
ends "three builds" 0 "6 passed, 0 failed" 'test_cmocka \.' 'test_asan \(sanitized\) \.' 'test_cuda \(emulated GPU\) \.' \
    'e2e_both \.' 'e2e_both \(sanitized\) \.' 'format-check \.'
head -n 1 out | grep -q test_asan
check "the one to begin with comes first" $?
cp tree/asan/tests/* tree/simt/tests/test_cuda tree/build/tests
sed -i 's/^.* && //' tree/build/tests/test_cuda
runs build
ends "one build: everything runs there" 0 "5 passed, 0 failed" 'test_asan \.' 'test_cuda \.'

# ---- what would be left out is refused ----
refused() { # WHAT PATTERN
    runs build
    [ "$rc" -eq 2 ] && grep -qE -- "$2" err
    check "$1 is refused" $?
}
unit typo 'plain sanitised' build 'exit 0'
refused "a kind that there is not" "test_typo.c: there is no kind 'sanitised'"
unit typo 'memcheck' build 'exit 0'
refused "a kind that no suite runs" 'test_typo.c: its kinds are neither'
rm tree/tests/unit/room/test_typo.c
mkdir -p tree/tests/unit/{other,room/deep}
cp tree/tests/unit/room/test_cmocka.c tree/tests/unit/other/
refused "a name that stands in two rooms" 'test_cmocka.c: another room has'
mv tree/tests/unit/other/test_cmocka.c tree/tests/unit/room/deep/test_deep.c
refused "a test where nobody looks" 'test_deep.c: a test lies in'
script lie 'echo "not ok 1 # SKIP one"' 'echo 1..1'
rm -r tree/tests/unit/room/deep
only e2e_lie
ends "a script's check that is not ok, whatever stands behind it" 1 "0 passed, 1 failed"
finish
