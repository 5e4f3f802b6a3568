//! What `peer help` prints: the commands in groups, each with an example.

/// The text.
pub const HELP: &str = "\
peer moves MySQL changes between sites. One binary, no coordinator.

Start a cluster
  keygen [--out FILE]       make the key that lets peers trust each other
                              peer keygen --out cluster.key
  start [flags]             start the first peer, in the foreground
                              peer start --name sh-1 --datacenter shanghai
  join --seed HOST [flags]  start a peer and join through any member
                              peer join --seed 10.0.0.1 --datacenter beijing
Run jobs
  submit FILE [--wait]      accept a job; --wait follows it until it streams
                              peer submit orders.toml --wait
  set JOB KEY=VALUE...      change it while it runs
                              peer set orders link.rate=\"10 MB/s\"
  revert JOB VERSION        back to a version        peer revert orders 2
  check | plan FILE         what it lacks; would do  peer check orders.toml
  pause | stop JOB          hold a job               peer pause orders
  resume | restart JOB      lift those holds; start its tasks anew
  skip JOB GTID --reason T  pass one transaction over (peer help skip)
  purge JOB [--yes]         forget job and progress  peer purge orders
  stop JOB --fence, submit FILE --adopt, purge JOB --target
                            act in the target at once, from the asked peer
Care for peers
  drain | undrain PEER      move its tasks away      peer drain sh-1
  leave [PEER] [--restart]  end it, its tasks moved or waiting 90 s for it
Look
  members                   who is here              peer members
  jobs                      one line per job         peer jobs --json
  status JOB                one screen about a job   peer status orders
  history | conflicts JOB   what changed; which rows did not fit
  shell                     type commands to a peer  peer shell
More
  version, completions SHELL
  help COMMAND              every flag of a command  peer help submit

Everywhere
  --json                    one JSON object on stdout
  --address HOST:PORT       the peer to ask (or PEER_ADDRESS; 127.0.0.1:7422)

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no peer answered.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_fits_a_terminal() {
        assert!(HELP.lines().all(|line| line.chars().count() <= 80));
        assert!(HELP.lines().count() <= 40);
    }
}
