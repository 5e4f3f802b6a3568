# The fault cases, each a story of `begin`, faults and `takeover`s. `short` is true in a short run. A case fails by `fail`, or
# by any command that fails; `check_all` judges it afterwards.

CASES_SHORT=(kill-sink kill-source kill-both freeze-sink partition-with-target cut-from-target flapping restart-all target-killed seeds)
CASES_FULL=("${CASES_SHORT[@]}" one-way frozen-but-one rolling)

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
}

case_kill_sink() { begin "${PEERS[@]}"; kill_owner_again_and_again sink "$($short && echo 2 || echo 20)" owner; }
case_kill_source() { begin "${PEERS[@]}"; kill_owner_again_and_again source "$($short && echo 2 || echo 10)" src_owner; }

case_kill_both() {
    local owners
    begin "${PEERS[@]}"
    owners="$(owner_of sink) $(owner_of source)"
    fault "kill -9 $owners"
    kill_peers $owners
    takeover "$fault_at"
    start_again $owners
}

# The rows of the target are locked, so that the sink's transaction is open and waits; they are released when another peer
# has the fence, while the old transaction may still be there.
case_freeze_sink() {
    local owner seconds epoch lock
    seconds=$($short && echo 10 || echo 30)
    begin "${PEERS[@]}"
    owner=$(owner_of sink)
    exec {lock}> >(scripts/mysql client "$work/target" -n "$schema" >/dev/null)
    echo "BEGIN; SELECT * FROM accounts FOR UPDATE;" >&"$lock"
    await 10 "the sink's transaction waits for a row" open_transactions "LOCK WAIT"
    epoch=$(epoch_now)
    fault "SIGSTOP to $owner inside an open transaction, SIGCONT after $seconds s"
    signal_peer STOP "$owner"
    await 30 "another peer has the fence" has_newer_epoch "$epoch"
    exec {lock}>&-
    takeover "$fault_at"
    until (($(now_ms) > fault_at + seconds * 1000)); do calm 0.2; done
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

case_one_way() {
    local owner node
    begin "${PEERS[@]}"
    owner=$(owner_of sink)
    fault "nobody hears $owner, which hears everybody and reaches the target"
    for node in sh-1 sh-2 "$(other_than "$owner")"; do sever_one_way "$owner" "$node"; done
    takeover "$fault_at"
    heal
    await_row 30
}

case_frozen_but_one() {
    local owner name
    begin "${PEERS[@]}"
    owner=$(owner_of sink)
    fault "SIGSTOP to all but $owner for 20 s"
    for name in "${PEERS[@]}"; do [[ $name == "$owner" ]] || signal_peer STOP "$name"; done
    calm 20
    for name in "${PEERS[@]}"; do signal_peer CONT "$name"; done
    takeover "$(now_ms)"
}

case_rolling() {
    local name
    begin "${PEERS[@]}"
    for name in "${PEERS[@]}"; do
        fault "SIGTERM to $name, started again"
        signal_peer TERM "$name"
        await 20 "$name ended" is_gone "$name"
        start_again "$name"
        takeover "$fault_at"
        await 20 "every peer sees 4 members" all_see 4
    done
}
is_gone() { ! kill -0 "$(<"$work/$1.pid")" 2>/dev/null; }
