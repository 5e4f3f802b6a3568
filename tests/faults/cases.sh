# The fault cases, each a story of `begin`, faults and `takeover`s. `short` is true in a short run. A case fails by `fail`, or
# by any command that fails; `check_all` judges it afterwards.

CASES_SHORT=(checkers kill-sink kill-source freeze-sink cut-from-target flapping restart-all target-killed two-sides seeds)
CASES_FULL=("${CASES_SHORT[@]}" kill-both partition-with-target partition-with-source partition-without-source one-way
    frozen-but-one rolling thousand-jobs no-fence calm)

# begin PEER…: a cluster of these and a job that streams.
begin() {
    local name
    start_peers "$@"
    for name in "$@"; do
        ask "$name" members | json "next(m[\"id\"] for m in v[\"members\"] if m[\"name\"] == \"$name\")" >"$case_dir/$name.id"
    done
    submit_job "$case"
}

# fault SENTENCE: counts one and says it; `fault_at` is when.
fault() {
    fault_at=$(now_ms)
    echo "$*" >>"$case_dir/faults"
    say "    $*"
}

owner_of() { local owner; owner=$("$1_owner"); [[ $owner == [sb][hj]-? ]] || fail "no owner of the $1 task: '$owner'"; echo "$owner"; }
other_than() { [[ $1 == *-1 ]] && echo "${1%1}2" || echo "${1%2}1"; }
# Nothing changes hands while this many seconds pass.
calm() { sleep "$1"; }

kill_owner_again_and_again() {
    local owner i kills=$2
    for ((i = 0; i < kills; i++)); do
        owner=$(owner_of "$1")
        fault "kill -9 $owner, which runs the $1 task"
        kill_peers "$owner"
        takeover "$fault_at"
        start_again "$owner"
        await 20 "every peer sees 4 members" all_see 4
    done
    at_most "$kills" "$3" "each kill moves the task once, nobody takes it back"
    $short || median_at_most 8
}

case_kill_sink() { begin "${PEERS[@]}"; kill_owner_again_and_again sink "$($short && echo 2 || echo 20)" owner; }
case_kill_source() {
    begin "${PEERS[@]}"
    kill_owner_again_and_again source "$($short && echo 2 || echo 10)" src_owner
    at_most 0 owner "another source was within reach"
}

case_kill_both() {
    local owners
    begin "${PEERS[@]}"
    owners="$(owner_of sink) $(owner_of source)"
    fault "kill -9 $owners"
    kill_peers $owners
    takeover "$fault_at"
    start_again $owners
}

# Stops $owner inside an open transaction: the rows of the target are locked, so that it waits, until `let_rows_go`. Ends
# when another peer has the fence; $epoch is the one before.
freeze_owner_in_transaction() {
    owner=$(owner_of sink)
    exec {lock}> >(scripts/mysql client "$work/target" -n "$schema" >/dev/null)
    echo "BEGIN; SELECT * FROM accounts FOR UPDATE;" >&"$lock"
    await 10 "the sink's transaction waits for a row" open_transactions "LOCK WAIT"
    epoch=$(epoch_now)
    fault "SIGSTOP to $owner inside an open transaction"
    signal_peer STOP "$owner"
    await 30 "another peer has the fence" has_newer_epoch "$epoch"
}
let_rows_go() { exec {lock}>&-; }

# The rows are released while the old transaction may still be there.
case_freeze_sink() {
    local owner epoch lock seconds
    seconds=$($short && echo 10 || echo 30)
    begin "${PEERS[@]}"
    freeze_owner_in_transaction
    let_rows_go
    takeover "$fault_at"
    until (($(now_ms) > fault_at + seconds * 1000)); do calm 0.2; done
    fault "SIGCONT to $owner after $seconds s"
    signal_peer CONT "$owner"
    await 20 "every peer sees 4 members" all_see 4
    await_row 30
    at_most 1 owner "the peer that came back had lost the job"
}
epoch_now() { target_sql "SELECT epoch FROM $meta.fence"; }
has_newer_epoch() { (($(epoch_now) > $1)); }
open_transactions() { (($(target_sql "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = '$1'") > 0)); }

# Its site-mates reach neither the sink peer nor the target: the owner keeps the job and carries on when it is healed.
case_partition_with_target() {
    local owner node
    begin "${PEERS[@]}"
    owner=$(owner_of sink)
    fault "$owner and the target are cut from everybody else"
    for node in sh-1 sh-2 "$(other_than "$owner")"; do sever "$owner" "$node"; done
    sever target "$(other_than "$owner")"
    calm "$($short && echo 12 || echo 60)"
    heal
    takeover "$(now_ms)"
    at_most 0 owner "nobody else reached the target"
}

case_cut_from_target() {
    local owner
    begin "${PEERS[@]}"
    owner=$(owner_of sink)
    fault "$owner is cut from the target only"
    sever "$owner" target
    takeover "$fault_at"
    heal
    await_row 30
    at_most 2 owner "one cut"
}

case_flapping() {
    local i
    begin "${PEERS[@]}"
    fault "the line between the sites goes down and up each second"
    for ((i = 0; i < $($short && echo 8 || echo 30); i++)); do
        sever shanghai beijing; calm 1
        heal; calm 1
    done
    takeover "$(now_ms)"
    at_most 2 owner "the line came back each time"
}

case_restart_all() {
    begin "${PEERS[@]}"
    fault "kill -9 of all peers, all started again at once"
    kill_peers "${PEERS[@]}"
    start_again "${PEERS[@]}"
    takeover "$fault_at"
}

case_target_killed() {
    begin "${PEERS[@]}"
    fault "kill -9 of the target server, started again"
    kill -9 "$(<"$work/target/pid")"
    start_server target
    takeover "$fault_at"
}

# The seeds of this field: one peer in shanghai, two in beijing.
case_seeds() {
    local first second
    begin sh-1 bj-1 bj-2
    first=$(owner_of sink) second=$(other_than "$first")
    fault "kill -9 $first: the sink moves to $second"
    kill_peers "$first"
    takeover "$fault_at"
    [[ $(owner_of sink) == "$second" ]] || fail "the sink runs on $(sink_owner), expected $second"
    fault "kill -9 $second: nobody is left in beijing"
    kill_peers "$second"
    await 30 "the job is unplaced" is_unplaced
    await 10 "its placement names beijing for sh-1" says_beijing
    calm 6
    is_unplaced || fail "the job left its waiting by itself: $(seen 'v["state"]')"
    start_peer "$first" && fault_at=$(now_ms) && await_peer "$first"
    takeover "$fault_at"
    [[ $(owner_of sink) == "$first" ]] || fail "the sink runs on $(sink_owner), expected $first"
}
is_unplaced() { [[ $(seen 'v["state"]') == unplaced ]]; }
says_beijing() {
    [[ $(seen 'any(p["task"] == "sink" and p["peer"] == "sh-1" and "beijing" in str(p) for p in v["placement"])') == True ]]
}

case_partition_with_source() {
    local owner from name other
    begin "${PEERS[@]}"
    owner=$(owner_of sink) from=$(owner_of source)
    fault "$owner and $from are cut from the other peers, which reach the target"
    for name in "$owner" "$from"; do
        for other in "$(other_than "$owner")" "$(other_than "$from")"; do sever "$name" "$other"; done
    done
    calm "$($short && echo 12 || echo 60)"
    await_row 10
    at_most 0 owner "the others saw in the target that the owner works"
    heal
    takeover "$(now_ms)"
    at_most 0 owner "nothing was wrong with the owner"
}

case_partition_without_source() {
    local owner name
    begin "${PEERS[@]}"
    owner=$(owner_of sink)
    fault "$owner reaches no source any more, only the target and $(other_than "$owner"), which takes over"
    for name in sh-1 sh-2; do sever "$owner" "$name"; done
    takeover "$fault_at"
    [[ $(owner_of sink) != "$owner" ]] || fail "$owner kept the sink without a source"
    calm "$($short && echo 10 || echo 60)"
    heal
    await_row 30
    at_most 1 owner "one cut, and the new owner keeps the job"
}

# What was on its way still arrives: the owner works for a while after the cut, and is believed as long as it commits.
case_one_way() {
    local owner node epoch from
    begin "${PEERS[@]}"
    owner=$(owner_of sink) epoch=$(epoch_now) from=$(audit_end)
    fault "nobody hears $owner, which hears everybody and reaches the target"
    for node in sh-1 sh-2 "$(other_than "$owner")"; do sever_one_way "$owner" "$node"; done
    await 40 "another peer has the fence" has_newer_epoch "$epoch"
    await_row 30
    longest_pause "$from" "$($short && echo 30 || echo 15)"
    heal
    await_row 30
}

# While one peer works alone, its source is frozen; who wakes up late does not believe its own clock.
case_frozen_but_one() {
    local owner name
    begin "${PEERS[@]}"
    owner=$(owner_of sink)
    fault "SIGSTOP to all but $owner for 20 s"
    for name in "${PEERS[@]}"; do [[ $name == "$owner" ]] || signal_peer STOP "$name"; done
    calm 20
    for name in "${PEERS[@]}"; do signal_peer CONT "$name"; done
    takeover "$(now_ms)"
    await 20 "every peer sees 4 members" all_see 4
    await_row 30
    at_most 0 owner "the owner was awake all the time"
}

# Planned moves: what counts is the longest time without a commit.
case_rolling() {
    local name from
    begin "${PEERS[@]}"
    for name in "${PEERS[@]}"; do
        fault "SIGTERM to $name, started again"
        from=$(audit_end)
        signal_peer TERM "$name"
        await 20 "$name ended" is_gone "$name"
        await_row 20
        longest_pause "$from" "$($short && echo 6 || echo 2)"
        start_again "$name"
        await 20 "every peer sees 4 members" all_see 4
    done
    await_row 30
}
is_gone() { ! kill -0 "$(<"$work/$1.pid")" 2>/dev/null; }

# A stop is never lost, whatever the other side does meanwhile, and all peers end with the same table.
case_two_sides() {
    local i name
    begin "${PEERS[@]}"
    fault "the sites are cut; stop and edit in shanghai, resume and edit in beijing"
    sever shanghai beijing
    calm 4
    ask sh-1 stop "$job" >"$case_dir/stop.json" || fail "stop: $(<"$case_dir/stop.json")"
    ask sh-1 set "$job" link.rate="5 MB/s" >"$case_dir/set.json" || fail "set: $(<"$case_dir/set.json")"
    for i in 1 2 3; do ask bj-1 resume "$job" >/dev/null || true; done
    ask bj-1 set "$job" link.rate="7 MB/s" >"$case_dir/set.json" || fail "set: $(<"$case_dir/set.json")"
    heal
    await 20 "all peers have the same job table" one_digest 4
    for name in "${PEERS[@]}"; do await 20 "$name says that the job is stopped" is_stopped_at "$name"; done
    for name in "${PEERS[@]}"; do
        [[ $(ask "$name" status "$job" | json 'len(v["concurrent"]) > 0') == True ]] || fail "$name does not tell of the two edits"
    done
    ask bj-2 resume "$job" >"$case_dir/resume.json" || fail "resume: $(<"$case_dir/resume.json")"
    takeover "$(now_ms)"
    ask sh-2 set "$job" link.rate="9 MB/s" >"$case_dir/set.json" || fail "set: $(<"$case_dir/set.json")"
    await 20 "all peers have the same job table" one_digest 4
    await_row 30
}
is_stopped_at() { [[ $(ask "$1" status "$job" | json 'v["state"]') == stopped ]]; }
# As many peers are up, and each names the digest that all others have.
one_digest() {
    local name digests=''
    for name in $(up_peers); do digests+=$(ask "$name" plan "$case_dir/job.toml" | json 'v["table"]["digest"]')$'\n'; done
    [[ $(sort <<<"${digests%$'\n'}" | uniq -c | awk '{ print $1 }') == "$1" ]]
}

case_thousand_jobs() {
    local owner ms
    begin "${PEERS[@]}"
    fault "1,000 jobs are submitted to sh-1 and stopped"
    in_node sh-1 python3 tests/faults/many_jobs.py "$(run_field sh-1 http)" "$case_dir/job.toml" 1000 >"$case_dir/many" ||
        fail "submit: $(<"$case_dir/many")"
    say "    $(<"$case_dir/many")"
    fault_at=$(now_ms)
    await 60 "all peers know 1,001 jobs" all_know 1001
    await 60 "all peers have the same job table" one_digest 4
    ms=$(($(now_ms) - fault_at))
    say "    known by all $ms ms after the last"
    ((ms < 10000)) || fail "1,000 jobs were known by all after $ms ms, expected 10 s"
    await_row 30
    owner=$(owner_of sink)
    fault "kill -9 $owner, which runs the sink task"
    kill_peers "$owner"
    takeover "$fault_at"
    start_again "$owner"
    await 60 "every peer sees 4 members" all_see 4
    stop_writer
    ask sh-1 stop "$job" >/dev/null || fail "stop"
    await 20 "the job is stopped" is_stopped_at sh-1
    calm 20
    idle_cpu 20 >"$case_dir/cpu"
    say "    idle CPU with 1,001 jobs held: $(tr '\n' ' ' <"$case_dir/cpu")"
    ask sh-1 resume "$job" >/dev/null || fail "resume"
    start_writer
    awk '$2 >= 3 { exit 1 }' "$case_dir/cpu" || fail "idle CPU, expected below 3 % of a core: $(tr '\n' ' ' <"$case_dir/cpu")"
}
all_know() {
    local name
    for name in $(up_peers); do [[ $(ask "$name" jobs | json 'len(v["jobs"])') == "$1" ]] || return 1; done
}
# idle_cpu SECONDS: each peer's share of a core in that time, in percent.
idle_cpu() {
    local name seconds=$1
    declare -A before
    for name in "${PEERS[@]}"; do before[$name]=$(ticks_of "$name"); done
    calm "$seconds"
    for name in "${PEERS[@]}"; do
        awk -v n="$name" -v t=$(($(ticks_of "$name") - before[$name])) -v s="$seconds" -v hz="$(getconf CLK_TCK)" \
            'BEGIN { printf "%s %.1f %%\n", n, t * 100 / hz / s }'
    done
}
ticks_of() { awk '{ print $14 + $15 }' "/proc/$(<"$work/$1.pid")/stat"; }

# The judges are shown what must never be, one thing at a time.
case_checkers() {
    local forget
    begin sh-1 bj-1
    forget="DELETE FROM audit.$schema ORDER BY n DESC LIMIT 1"
    stop_writer
    await_row 30
    calm 6 # whatever was passed over is written down
    bites check_epochs "a commit of an older epoch" "INSERT INTO audit.$schema (what, epoch) VALUES ('progress', 0)" "$forget"
    bites check_epochs "two owners in one epoch" "INSERT INTO audit.$schema (what, epoch, owner, src_epoch, src_owner)
        SELECT 'fence', epoch, 'bj-9', src_epoch, src_owner FROM $meta.fence" "$forget"
    bites check_epochs "two source owners in one source epoch" "INSERT INTO audit.$schema (what, epoch, owner, src_epoch, src_owner)
        SELECT 'fence', epoch, owner_name, src_epoch, 'nobody' FROM $meta.fence" "$forget"
    bites check_placements "a sink outside beijing" "INSERT INTO audit.$schema (what, epoch, owner, src_epoch, src_owner)
        SELECT 'fence', epoch + 1, 'sh-1', src_epoch, src_owner FROM $meta.fence" "$forget"
    bites check_placements "a source outside shanghai" "INSERT INTO audit.$schema (what, epoch, owner, src_epoch, src_owner)
        SELECT 'fence', epoch, owner_name, src_epoch + 1, '$(<"$case_dir/bj-1.id")' FROM $meta.fence" "$forget"
    bites no_changes "1 changes of owner" "INSERT INTO audit.$schema (what, epoch, owner, src_epoch, src_owner)
        SELECT 'fence', epoch + 1, 'bj-2', 0, '' FROM $meta.fence" "$forget"
    bites check_rows "accounts differs" "DELETE FROM $schema.accounts WHERE id = 1" \
        "INSERT INTO $schema.accounts VALUES ($(source_sql "SELECT id, balance, QUOTE(note) FROM $schema.accounts WHERE id = 1" | tr '\t' ,))"
    bites check_rows "ledger differs" "INSERT INTO $schema.ledger VALUES (999999999, 1, 1)" \
        "DELETE FROM $schema.ledger WHERE id = 999999999"
    bites check_rows "marks differs" "UPDATE $schema.marks SET mark = CONCAT(mark, ' ') LIMIT 1" "UPDATE $schema.marks SET mark = TRIM(mark)"
}
no_changes() { at_most 0 owner "for the test"; }
# bites JUDGE SENTENCE SQL SQL: what the first SQL does to the target makes the judge say so; the second one undoes it.
bites() {
    local code
    fault "$2"
    target_sql "$3"
    set +e
    (set -e; "$1")
    code=$?
    set -e
    [[ $code == 1 && $(cat "$case_dir/verdict") == "FAILED: $2"* ]] || fail "the judges did not see: $2"
    rm "$case_dir/verdict"
    target_sql "$4"
}

# Built without the fence: the old owner wakes up while its successor sleeps, and commits. The judges must see it.
case_no_fence() {
    local owner epoch lock successor
    peer=$(build_no_fence)
    begin "${PEERS[@]}"
    freeze_owner_in_transaction
    successor=$(other_than "$owner")
    signal_peer STOP "$successor"
    await 10 "no transaction waits any more" no_lock_waits
    let_rows_go
    fault "SIGCONT to $owner, whose epoch is over, while $successor, which has the fence, is stopped"
    signal_peer CONT "$owner"
    await 20 "a judge sees the commit of $owner" commit_of_older_epoch_is_seen
    rm "$case_dir/verdict"
    signal_peer CONT "$successor"
    touch "$case_dir/is-judged"
}
no_lock_waits() { ! open_transactions "LOCK WAIT"; }
commit_of_older_epoch_is_seen() { ! (check_epochs) && [[ $(<"$case_dir/verdict") == "FAILED: a commit of an older epoch"* ]]; }
build_no_fence() {
    local folder=${CARGO_TARGET_DIR:-$PWD/target}/no-fence
    RUSTFLAGS="--cfg peer_no_fence" CARGO_TARGET_DIR=$folder CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-2} \
        cargo build --locked --quiet --bin peer >&2
    echo "$folder/debug/peer"
}

case_calm() {
    local minutes
    minutes=$($short && echo 1 || echo 10)
    begin "${PEERS[@]}"
    say "    $minutes minutes without a fault"
    calm $((minutes * 60))
    await_row 10
    at_most 0 owner "there was no fault"
    at_most 0 src_owner "there was no fault"
}
