# What a fault case works on: servers, peers, one job per case, a writer. Every process started here runs in a namespace or in
# a folder of $work, so that the guard can end it. Every wait has a limit and a sentence that is the verdict when it is over.

PEERS=(sh-1 sh-2 bj-1 bj-2)
ROWS=400 # accounts the writer works on

source_sql() { scripts/mysql client "$work/source" -N -B -e "$1"; }
target_sql() { scripts/mysql client "$work/target" -N -B -e "$1"; }

# Ends the case with a verdict.
fail() { echo "FAILED: $*" >"$case_dir/verdict"; exit 1; }

# await SECONDS SENTENCE COMMAND…: until the command succeeds.
await() {
    local until=$((SECONDS + $1)) sentence=$2
    shift 2
    until "$@"; do
        ((SECONDS < until)) || fail "waited for: $sentence"
        sleep 0.1
    done
}

# --- servers

start_server() {
    in_node "$1" scripts/mysql start "$work/$1" --port 3306 -- --sync-binlog=1 --innodb-flush-log-at-trx-commit=1 \
        --bind-address="${ADDRESS[$1]}" >/dev/null 2>"$work/$1.talk" || { cat "$work/$1.talk" >&2; return 1; }
}

# --- peers

# Every peer is told of all others, so that all may start at once.
start_peer() {
    local name=$1 site=beijing
    [[ $name != sh-* ]] || site=shanghai
    mkdir -p "$case_dir/$name"
    rm -f "$case_dir/$name/run.json"
    PEER_LOG=${PEER_LOG:-peer=debug,info} ip netns exec "$prefix-$name" "$peer" start --config "$case_dir/cluster.toml" --name "$name" \
        --datacenter "$site" --listen "${ADDRESS[$name]}:7420" --data-dir "$case_dir/$name" --key-file "$work/cluster.key" \
        >/dev/null 2>>"$case_dir/$name.log" &
    echo $! >"$work/$name.pid"
    disown
}

await_peer() { await 20 "peer $1 is ready" test -f "$case_dir/$1/run.json"; }

start_peers() {
    local seeds='' name
    for name in "$@"; do seeds+="\"${ADDRESS[$name]}:7420\","; done
    printf '[cluster]\nseeds = [%s]\n' "${seeds%,}" >"$case_dir/cluster.toml"
    for name in "$@"; do start_peer "$name"; done
    for name in "$@"; do await_peer "$name"; done
    await 20 "every peer sees $# members" all_see $#
}

is_up() { [[ -f $work/$1.pid ]] && [[ $(awk '{ print $3 }' "/proc/$(<"$work/$1.pid")/stat" 2>/dev/null) == [^TZ] ]]; }
up_peers() { local name; for name in "${PEERS[@]}"; do ! is_up "$name" || echo "$name"; done; }

all_see() {
    local name
    for name in $(up_peers); do [[ $(ask "$name" members | json 'sum(m["state"] == "alive" for m in v["members"])') == "$1" ]] || return 1; done
}

# kill_peers NAME…: SIGKILL. start_again NAME…: with the same data, and known to the others again.
kill_peers() { local name; for name in "$@"; do kill -9 "$(<"$work/$name.pid")"; rm -f "$work/$name.pid"; done; }
start_again() {
    local name
    for name in "$@"; do start_peer "$name"; done
    for name in "$@"; do await_peer "$name"; done
}
signal_peer() { kill -s "$1" "$(<"$work/$2.pid")"; }

run_field() { json "v[\"$2\"]" <"$case_dir/$1/run.json"; }
# ask PEER ARGUMENTS…: its answer as JSON, nothing when it gives none. json EXPRESSION: over that answer, as `v`.
ask() { in_node "$1" timeout 10 "$peer" "${@:2}" --json 2>/dev/null; }
json() { python3 -c 'import json, sys
try: print(eval(sys.argv[1], {"v": json.load(sys.stdin)}))
except (KeyError, StopIteration, TypeError, ValueError): print("")' "$1"; }

# --- the job

# seen EXPRESSION: over the job's status, as the first peer that is up tells it.
seen() { ask "$(up_peers | head -n 1)" status "$job" | json "$1"; }
sink_owner() { seen 'v["sink"]["peer"]'; }
source_owner() { seen 'v["source"]["peer"]'; }
streams() { [[ $(seen 'v["state"]') == streaming ]]; }

submit_job() {
    job=$1 schema=faults_${1//-/_} meta=meta_${1//-/_}
    source_sql "CREATE DATABASE $schema;
        CREATE TABLE $schema.accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL, note VARCHAR(40));
        CREATE TABLE $schema.ledger (id BIGINT AUTO_INCREMENT PRIMARY KEY, account INT NOT NULL, amount INT NOT NULL);
        CREATE TABLE $schema.marks (mark VARCHAR(60) PRIMARY KEY);
        INSERT INTO $schema.accounts WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $ROWS) SELECT i, 0, 'new' FROM n;"
    {
        printf 'name = "%s"\n' "$job"
        job_end source shanghai 'start = "snapshot"'
        printf '[[tables]]\nschema = "%s"\ntable = "%s"\n' "$schema" accounts "$schema" ledger "$schema" marks
        job_end sink beijing "meta_schema = \"$meta\""
    } >"$case_dir/job.toml"
    ask sh-1 submit "$case_dir/job.toml" >"$case_dir/submit.json" || fail "submit: $(<"$case_dir/submit.json")"
    await 40 "the job streams" streams
    begin_audit
    start_writer
    await_row 20 >/dev/null
}

job_end() {
    local server=$1
    [[ $1 != sink ]] || server=target
    printf '[%s]\nkind = "mysql"\nhost = "%s"\nport = 3306\nuser = "root"\npassword = ""\n%s\n' "$1" "${ADDRESS[$server]}" "$3"
    printf '[[%s.constraint]]\nattribute = "${node.datacenter}"\nvalue = "%s"\n' "$1" "$2"
}

# Two rows per transaction, some rolled back, about 40 a second, at most ten minutes.
start_writer() {
    touch "$case_dir/writing"
    write | scripts/mysql client "$work/source" --force "$schema" >/dev/null 2>"$case_dir/writer.log" &
    writer=$!
}
write() {
    local i
    for ((i = 1; i < 24000; i++)); do
        [[ -f $case_dir/writing ]] || return 0
        echo "BEGIN; UPDATE accounts SET balance = balance + $i, note = 'n $i' WHERE id = $((i * 7 % ROWS + 1));"
        echo "INSERT INTO ledger (account, amount) VALUES ($((i * 7 % ROWS + 1)), $i);"
        ((i % 9)) || echo "DELETE FROM ledger WHERE id = $((i / 2));"
        ((i % 10)) && echo "COMMIT;" || echo "ROLLBACK;"
        sleep 0.025
    done
}
stop_writer() { rm -f "$case_dir/writing"; wait "$writer" || true; }

# Writes a row on the source and waits until it stands in the target.
await_row() {
    local mark
    mark=$(date +%s%N)
    source_sql "INSERT INTO $schema.marks VALUES ('$mark')"
    await "$1" "a row written after the fault stands in the target" has_row "$mark"
}
has_row() { [[ $(target_sql "SELECT COUNT(*) FROM $schema.marks WHERE mark = '$1'" 2>/dev/null) == 1 ]]; }

now_ms() { date +%s%3N; }
# takeover SINCE_MS: until rows written after the fault arrive; its seconds go into the table. The bar is 15 s; a short run
# may stand on a machine that does other work beside.
takeover() {
    await_row 60
    took $(($(now_ms) - $1)) "$($short && echo 30 || echo 15)"
}
took() { # MILLISECONDS LIMIT_SECONDS
    echo "$1" >>"$case_dir/takeover_ms"
    (($1 < $2 * 1000)) || fail "a takeover took $1 ms, expected less than $2 s"
}
audit_end() { target_sql "SELECT MAX(n) FROM audit.$schema"; }
# longest_pause N SECONDS: the longest time between two commits behind line N of the audit, while the writer never rests.
longest_pause() {
    took "$(target_sql "SELECT ROUND(MAX(us) / 1000) FROM (SELECT TIMESTAMPDIFF(MICROSECOND, LAG(at) OVER (ORDER BY n), at) AS us
        FROM audit.$schema WHERE n >= $1 AND what = 'progress') x")" "$2"
}
median_at_most() {
    local ms
    ms=$(sort -n "$case_dir/takeover_ms" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
    ((ms <= $1 * 1000)) || fail "half of the takeovers took more than $ms ms, expected $1 s"
}
