# The judges of a fault case. They believe no peer: triggers on the target's own `fence` and `progress` write down, in the
# transaction itself, who owned what when it committed; the rows are compared column by column.

begin_audit() {
    local table what event
    target_sql "CREATE DATABASE IF NOT EXISTS audit;
        CREATE TABLE audit.$schema (n BIGINT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), what VARCHAR(10),
            epoch BIGINT, owner VARCHAR(255), src_epoch BIGINT, src_owner VARCHAR(255));
        INSERT INTO audit.$schema (what, epoch, owner, src_epoch, src_owner) SELECT 'fence', epoch, owner_name, src_epoch, src_owner FROM $meta.fence;"
    for event in INSERT UPDATE; do
        target_sql "CREATE TRIGGER $meta.fence_$event AFTER $event ON $meta.fence FOR EACH ROW
            INSERT INTO audit.$schema (what, epoch, owner, src_epoch, src_owner)
            VALUES ('fence', NEW.epoch, NEW.owner_name, NEW.src_epoch, NEW.src_owner);
            CREATE TRIGGER $meta.progress_$event AFTER $event ON $meta.progress FOR EACH ROW
            INSERT INTO audit.$schema (what, epoch) VALUES ('progress', NEW.epoch);"
    done
}

# none WHAT SQL: the query finds nothing.
none() {
    local found
    found=$(target_sql "$2")
    [[ -z $found ]] || fail "$1: $(tr '\n\t' '; ' <<<"$found" | cut -c1-200)"
}

check_all() {
    check_epochs
    check_placements
    stop_writer
    await_row 60
    check_rows
    [[ $(target_sql "SELECT COUNT(*) > 0 FROM audit.$schema WHERE what = 'progress'") == 1 ]] || fail "the audit saw no commit"
}

check_epochs() {
    none "a commit of an older epoch" "SELECT n, what, epoch, top FROM (SELECT n, what, epoch, MAX(epoch) OVER
        (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS top FROM audit.$schema) x WHERE epoch < top LIMIT 5"
    none "two owners in one epoch" "SELECT epoch, GROUP_CONCAT(DISTINCT owner) FROM audit.$schema
        WHERE what = 'fence' AND owner <> '' GROUP BY epoch HAVING COUNT(DISTINCT owner) > 1"
    none "two source owners in one source epoch" "SELECT epoch, src_epoch, GROUP_CONCAT(DISTINCT src_owner) FROM audit.$schema
        WHERE what = 'fence' AND src_owner <> '' GROUP BY epoch, src_epoch HAVING COUNT(DISTINCT src_owner) > 1"
}

# The oracle knows one thing: sinks live in beijing, sources in shanghai.
check_placements() {
    local ids='' file
    for file in "$case_dir"/sh-*.id; do ids+="'$(<"$file")',"; done
    none "a sink outside beijing" "SELECT n, owner FROM audit.$schema WHERE owner <> '' AND owner NOT LIKE 'bj-%' LIMIT 5"
    none "a source outside shanghai" "SELECT n, src_owner FROM audit.$schema WHERE src_owner <> '' AND src_owner NOT IN (${ids%,}) LIMIT 5"
}

check_rows() {
    local table side
    for table in accounts ledger marks; do
        for side in source target; do
            scripts/mysql client "$work/$side" -N -B --quick -e "SELECT * FROM $schema.$table ORDER BY 1" >"$case_dir/$side.rows"
        done
        cmp -s "$case_dir/source.rows" "$case_dir/target.rows" ||
            fail "$table differs: $(diff "$case_dir/source.rows" "$case_dir/target.rows" | head -n 4 | tr '\n\t' '; ')"
    done
}

# How often the owner of a task (owner, src_owner) became another one.
changes() {
    target_sql "SELECT COUNT(*) FROM (SELECT $1 AS owner, LAG($1) OVER (ORDER BY n) AS before_it FROM audit.$schema
        WHERE what = 'fence' AND $1 <> '') x WHERE owner <> before_it"
}
# at_most NUMBER COLUMN WHY
at_most() { local found; found=$(changes "$2"); ((found <= $1)) || fail "$found changes of $2, at most $1 allowed: $3"; }
