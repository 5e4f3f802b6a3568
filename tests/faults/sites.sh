# Two sites on one machine, for scripts/faults: a network namespace per peer and per server, all on links of their own to
# one router. MySQL is reachable in its own site only. A cut is a rule of the router that drops silently: nobody gets an
# error, as with a dead line. `open_sites` needs the right to make namespaces; `close_sites` is in the guard's hands too.

declare -A ADDRESS=(
    [sh-1]=10.77.1.6 [sh-2]=10.77.1.10 [source]=10.77.1.14
    [bj-1]=10.77.2.6 [bj-2]=10.77.2.10 [target]=10.77.2.14
    [shanghai]=10.77.1.0/24 [beijing]=10.77.2.0/24
)
NODES=(sh-1 sh-2 source bj-1 bj-2 target)
RULES_OF_SITES=90 # preference of the router's lasting rules
RULES_OF_CUTS=100 # preference of the nemesis' rules

in_node() { ip netns exec "$prefix-$1" "${@:2}"; }
router() { ip -n "$prefix-router" "$@"; }

can_make_namespaces() { ip netns add "$prefix-try" 2>/dev/null && ip netns delete "$prefix-try"; }

open_sites() {
    local node
    ip netns add "$prefix-router"
    in_node router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    router link set lo up
    for node in "${NODES[@]}"; do open_node "$node" "${ADDRESS[$node]}"; done
    for node in "shanghai target" "beijing source"; do drop "$RULES_OF_SITES" $node; done
}

# The router has the address below the node's, in a net of four.
open_node() {
    local node=$1 address=$2 gateway=${2%.*}.$((${2##*.} - 1))
    ip netns add "$prefix-$node"
    ip -n "$prefix-$node" link set lo up
    ip -n "$prefix-$node" link add eth0 type veth peer name "$node" netns "$prefix-router"
    ip -n "$prefix-$node" address add "$address/30" dev eth0
    router address add "$gateway/30" dev "$node"
    router link set "$node" up
    ip -n "$prefix-$node" link set eth0 up
    ip -n "$prefix-$node" route add default via "$gateway"
}

close_sites() {
    local namespace
    for namespace in $(ip netns list 2>/dev/null | awk -v p="$prefix-" 'index($1, p) == 1 { print $1 }'); do
        ip netns delete "$namespace"
    done
}

drop() { router rule add pref "$1" from "${ADDRESS[$2]}" to "${ADDRESS[$3]}" blackhole; }

# Nothing passes between two nodes or sites; `sever_one_way` only stops what goes from the first to the second.
sever() { sever_one_way "$1" "$2" && sever_one_way "$2" "$1"; }
sever_one_way() { drop "$RULES_OF_CUTS" "$1" "$2"; }
heal() { while router rule delete pref "$RULES_OF_CUTS" 2>/dev/null; do :; done; }
