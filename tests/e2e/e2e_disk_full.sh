#!/usr/bin/env bash
# A full disk: while the database is written, before there is one, and while a report is made. Each
# time an honest message and exit code, nothing spoiled, and the same command goes on when there is
# room again. On a small file system in memory, in a mount namespace of its own.
# kinds: sanitized (exit codes, and what is left behind)
if [ "${GPTBENCH_IN_NAMESPACE:-}" != 1 ]; then
    if ! unshare -rm mount -t tmpfs -o size=64k none /mnt 2>/dev/null; then
        echo "1..0 # SKIP a full disk (24 checks): no mount namespace may be made here"
        exit 0
    fi
    GPTBENCH_IN_NAMESPACE=1 exec unshare -rm bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
trap 'umount "$work/disk" 2>/dev/null; rm -rf "$work"' EXIT

needs "a full disk" sqlite3

suite() { # NAME ITERATIONS
    tiny_suite "$1" 2 "$2" 1000 0
    tiny_cell a
}
suite long 8000 >long.ini
suite short 200 >short.ini
mkdir disk
mount -t tmpfs -o size=12m none disk || exit 1

fill() { # BYTES: leaves so many free
    local free=$(($(df --output=avail -B1 disk | tail -1) - $1))
    head -c "$free" /dev/zero >disk/ballast
}
run() { # ARGUMENTS...
    timeout 120 "$gptbench" run "$@" --threads 1 >out 2>err
    rc=$?
}
losses="SELECT replicate, step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok' ORDER BY 1, 2"

db=calm.db
run long.ini --db "$db" --no-report
is "room enough: exits 0" $rc 0
calm=$(query "$losses" | sha256sum)

# ---- while the database is written ----
db=disk/x.db
run short.ini --db "$db" --no-report
is "the database lies on the small disk: exits 0" $rc 0
fill 150000
run long.ini --db "$db" --no-report
is "full while rows are written: exit code" $rc 3
grep -q "disk/x.db: .*the disk is full.*give the same command again" err
check "full while rows are written: says so, where, and what to do" $?
is "full while rows are written: the database is whole" "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
rm disk/ballast
run long.ini --db "$db" --no-report
is "room again: the same command finishes" $rc 0
is "room again: every run once ok, with its steps" \
    "$(query "SELECT suite, replicate, count(*), sum(steps_done) FROM run_summary WHERE status = 'ok' GROUP BY 1, 2")" \
    $'long|0|1|8000\nlong|1|1|8000\nshort|0|1|200\nshort|1|1|200'
is "room again: the losses are those of the calm suite" \
    "$(query "SELECT replicate, step, printf('%!.17g', train_loss) FROM step JOIN run_summary USING (run_id) WHERE status = 'ok' AND suite = 'long' ORDER BY 1, 2" | sha256sum)" "$calm"

# ---- before there is a database ----
rm -f disk/x.db*
fill 0
run short.ini --db disk/new.db --no-report
is "full from the start: exit code" $rc 3
grep -q "disk/new.db: .*disk is full" err
check "full from the start: says so" $?
rm disk/ballast
run short.ini --db disk/new.db --no-report
is "room again: the same command makes it" $rc 0

# ---- while a report is made ----
"$gptbench" report --db calm.db -o disk/report >out 2>err
made=$?
[ $made = 0 ] || [ $made = 3 ] # 3: no gnuplot, and a report without figures
check "a report with room ($made)" $?
# The report's own way of writing the date would differ: it has none; so files compare.
find disk/report -type f | sort | xargs sha256sum >before
for room in 0 120000 400000; do
    fill $room
    "$gptbench" report --db calm.db -o disk/report >out 2>err
    is "full while a report is made ($room bytes free): exit code" $? 3
    grep -Eq "^gptbench: disk/report(/[a-z_/.]*)?: .*(is the disk full|No space left)" err
    check "full while a report is made ($room bytes free): says so, and where" $?
    find disk/report -type f | sort | xargs sha256sum | cmp -s - before
    check "full while a report is made ($room bytes free): the old one stands, whole and alone" $?
    rm disk/ballast
done
fill 20000
run short.ini --db short.db --report disk/report2
is "full while a suite's report is made: exit code" $rc 3
grep -q "gptbench report --db short.db --suite short -o disk/report2" err
check "full while a suite's report is made: says how to make it again" $?
rm disk/ballast
"$gptbench" report --db calm.db -o disk/report >out 2>err
is "room again: the report is made" $? $made
finish
