//! `peer shell`: a line editor in front of a peer's TCP shell; without a terminal it is a plain pipe.
//!
//! Fed by a person or a script, talks to `admin::shell`. Parses nothing but what it must know: where an answer ends (the
//! prompt) and where a job's text begins and ends.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::admin::parse::{self, Request};
use crate::admin::shell::PROMPT;
use crate::cli::failure::{EXIT_FAILED, EXIT_NO_PEER, Failure};
use crate::cli::out;
use crate::core::fault::Fault;

/// A peer on this machine connects at once.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Above the shell's own limits for an answer (10 s, 35 s where databases are looked at).
const ANSWER_MAX: Duration = Duration::from_secs(40);
/// The prompt while a job's text is typed.
const PROMPT_TEXT: &str = "... ";

/// Runs a session with the shell at `address`.
///
/// # Errors
/// Nothing answers there (exit 3), or the connection broke (exit 1).
pub fn run(address: &str) -> Result<(), Failure> {
    let mut peer = Peer::connect(address)?;
    let is_person = io::stdin().is_terminal() && io::stdout().is_terminal();
    let done = if is_person { by_hand(&mut peer) } else { by_pipe(&mut peer) };
    done.map_err(|error| {
        let fix = "look at the peer's log, then connect again";
        let fault = Fault::new(
            "PEER1059",
            format!("shell at {address}"),
            error.to_string(),
            "an open connection",
            fix,
        );
        Failure::new(EXIT_FAILED, fault)
    })
}

fn by_hand(peer: &mut Peer) -> io::Result<()> {
    let mut editor = DefaultEditor::new().map_err(io::Error::other)?;
    out::put(&peer.answer()?);
    let mut end: Option<String> = None;
    while peer.is_open {
        let line = match editor.readline(if end.is_some() { PROMPT_TEXT } else { PROMPT }) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) if end.is_none() => continue,
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => break,
            Err(error) => return Err(io::Error::other(error)),
        };
        if end.is_none() {
            editor.add_history_entry(&line).map_err(io::Error::other)?;
        }
        peer.send(&line)?;
        end = text_end(end, &line);
        if end.is_none() {
            out::put(&peer.answer()?);
        }
    }
    Ok(())
}

/// Answers go to stdout without greeting and prompts, so that a script reads answers only.
fn by_pipe(peer: &mut Peer) -> io::Result<()> {
    peer.answer()?;
    let mut end: Option<String> = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        peer.send(&line)?;
        end = text_end(end, &line);
        if end.is_none() {
            out::put(&peer.answer()?);
            io::stdout().flush()?;
        }
        if !peer.is_open {
            break;
        }
    }
    Ok(())
}

/// The line that will end the job's text which `line` began or continued; None: an answer comes now.
fn text_end(end: Option<String>, line: &str) -> Option<String> {
    match end {
        Some(end) if line.trim_end() == end => None,
        Some(end) => Some(end),
        None => match parse::line(line).map(|line| line.request) {
            Ok(Request::SubmitText { end, .. } | Request::PlanText { end } | Request::CheckText { end }) => Some(end),
            _ => None,
        },
    }
}

/// The other side.
struct Peer {
    stream: TcpStream,
    is_open: bool,
}

impl Peer {
    fn connect(address: &str) -> Result<Self, Failure> {
        let refuse = |found: String| {
            let fix = "start a peer with `peer start`, or name its shell with --admin HOST:PORT or PEER_ADMIN";
            Failure::new(
                EXIT_NO_PEER,
                Fault::new("PEER1059", format!("shell at {address}"), found, "a peer that answers", fix),
            )
        };
        let mut addresses = address.to_socket_addrs().map_err(|error| refuse(error.to_string()))?;
        let first = addresses.next().ok_or_else(|| refuse("no address of that name".to_owned()))?;
        let stream = TcpStream::connect_timeout(&first, CONNECT_MAX).map_err(|error| refuse(error.to_string()))?;
        stream
            .set_read_timeout(Some(ANSWER_MAX))
            .map_err(|error| refuse(error.to_string()))?;
        stream
            .set_write_timeout(Some(ANSWER_MAX))
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self { stream, is_open: true })
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\n").as_bytes())
    }

    /// What comes up to the next prompt, without it; up to the end when the peer closes.
    fn answer(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let mut piece = [0_u8; 4096];
        loop {
            if let Some(answer) = before_prompt(&bytes) {
                return Ok(String::from_utf8_lossy(answer).into_owned());
            }
            match self.stream.read(&mut piece)? {
                0 => {
                    self.is_open = false;
                    return Ok(String::from_utf8_lossy(&bytes).into_owned());
                }
                read => bytes.extend_from_slice(&piece[..read]),
            }
        }
    }
}

/// An answer is complete when it ends with the prompt at the start of a line.
fn before_prompt(bytes: &[u8]) -> Option<&[u8]> {
    let answer = bytes.strip_suffix(PROMPT.as_bytes())?;
    (answer.is_empty() || answer.ends_with(b"\n")).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_at_the_prompt_that_begins_a_line() {
        assert_eq!(before_prompt(b"a\npeer> "), Some(&b"a\n"[..]));
        assert_eq!(before_prompt(b"peer> "), Some(&b""[..]));
        assert_eq!(before_prompt(b"a peer> "), None);
        assert_eq!(before_prompt(b"a\npeer>"), None);
    }

    #[test]
    fn no_answer_is_awaited_inside_a_jobs_text() {
        let end = text_end(None, "submit --update <<EOF");
        assert_eq!(end.as_deref(), Some("EOF"));
        let end = text_end(end, "quit");
        assert_eq!(end.as_deref(), Some("EOF"));
        assert_eq!(text_end(end, "EOF"), None);
        assert_eq!(text_end(None, "jobs"), None);
    }
}
