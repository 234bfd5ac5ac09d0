#!/usr/bin/env bash
# A worker that the kernel's OOM killer ended is told from one that somebody else killed, by the
# counter of its cgroup: here a made-up one, in a mount namespace of its own.
# kinds: sanitized (statuses and messages)
if [ "${GPTBENCH_IN_NAMESPACE:-}" != 1 ]; then
    if ! unshare -rm mount -t tmpfs none /sys/fs/cgroup 2>/dev/null; then
        echo "1..0 # SKIP the OOM killer (3 checks): no mount namespace may be made here"
        exit 0
    fi
    GPTBENCH_IN_NAMESPACE=1 exec unshare -rm bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive
needs "the OOM killer" sqlite3
mount -t tmpfs none /sys/fs/cgroup || exit 1

count() { # NUMBER: so often has it struck, by both layouts of cgroups
    local path
    path=$(sed -n 's/^0:://p' /proc/self/cgroup)
    mkdir -p "/sys/fs/cgroup$path"
    printf 'low 0\noom %d\noom_kill %d\n' "$1" "$1" >"/sys/fs/cgroup$path/memory.events"
    path=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
    mkdir -p "/sys/fs/cgroup/memory$path"
    printf 'oom_kill_disable 0\nunder_oom 0\noom_kill %d\n' "$1" >"/sys/fs/cgroup/memory$path/memory.oom_control"
}

{
    tiny_suite two 2 20 10 0
    tiny_cell a
} >two.ini

db=two.db
count 3
GPTBENCH_TEST_FAULT=hang@7 "$gptbench" run two.ini --no-report --threads 1 --db "$db" >out 2>err &
runner=$!
worker_of() { # REPLICATE: its process, once it hangs
    local pid
    for _ in $(seq 400); do
        pid=$(query "SELECT pid FROM run WHERE replicate = $1 AND status = 'running' AND (SELECT count(*) FROM step WHERE step.run_id = run.run_id) = 7" 2>/dev/null)
        [ -n "$pid" ] && echo "$pid" && return
        sleep 0.05
    done
}
first=$(worker_of 0)
count 4
kill -9 "$first"
second=$(worker_of 1)
kill -9 "$second"
wait "$runner"
is "killed workers: exit code" $? 1
runner=
is "the counter went up: the OOM killer, by name" \
    "$(query 'SELECT status, message FROM run WHERE replicate = 0')" \
    "oom|killed by the kernel's OOM killer after 7 steps"
is "it did not: killed from outside" \
    "$(query 'SELECT status, message FROM run WHERE replicate = 1')" \
    "killed|killed from outside by SIGKILL after 7 steps"
finish
