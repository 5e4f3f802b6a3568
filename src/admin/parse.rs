//! A command line to a command.

/// What `help` prints in the shell.
pub const HELP: &str = "\
See
  members                  who is here             members
  jobs                     one line per job        jobs
  status JOB               one screen              status orders
  version                  what this peer runs     version
Do
  submit [--update] [--expect-version N] <<EOF     a job's text, up to a line EOF
  pause JOB                hold it for a while     pause orders
  resume JOB               remove your holds       resume orders
  stop JOB                 hold it                 stop orders
  restart JOB              start its tasks again   restart orders
  purge JOB --yes          forget job and progress purge orders --yes
Here
  help, quit               add --json to a command for one JSON object
";
