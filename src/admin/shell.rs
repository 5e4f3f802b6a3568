//! The TCP shell door: one command per line, each answer ends with the prompt. Made for `nc`, `telnet` and scripts.
//!
//! Fed by people; calls `parse`, `execute` and `render`. Sends no telnet negotiation and passes over what a telnet client
//! sends. Has no token yet, so it is bound to loopback (`config` sees to that) and closes on what looks like HTTP: a web
//! page could otherwise make a browser type commands here.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admin::cluster::{Cluster, JOB_TEXT_BYTES_MAX, SubmitRequest};
use crate::admin::command::Command;
use crate::admin::execute::execute;
use crate::admin::parse::{self, Request};
use crate::admin::refusal::Refusal;
use crate::admin::render;
use crate::core::fault::Fault;

/// Ends each answer.
pub const PROMPT: &str = "peer> ";
/// Bytes of one line; a longer one ends the session. Room for any GTID set a person pastes, nothing for a flood.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Open sessions; one more is told so and closed. Guess: people and scripts of one site.
pub const SESSIONS_MAX: usize = 64;
/// A session without a line for so long is closed. Guess: a coffee.
const IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// A client that does not take an answer for so long is gone.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// How long commands in hand may take once the door closes; DESIGN 2.3 gives a turn 5 s.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed accept (too many open files): long enough not to spin, short enough not to notice.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Serves until `stop` is cancelled, then lets the commands in hand finish.
///
/// # Errors
/// None at present: a failed accept is tried again. The form is that of the HTTP door.
pub async fn serve(listener: TcpListener, cluster: Arc<dyn Cluster>, stop: CancellationToken) -> io::Result<()> {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if sessions.len() < SESSIONS_MAX => {
                    sessions.spawn(session(stream, Arc::clone(&cluster), stop.clone()));
                }
                Ok((stream, _)) => turn_away(&stream),
                Err(error) => {
                    tracing::warn!(error = %error, "shell connection was not accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    let finished = async { while sessions.join_next().await.is_some() {} };
    // Sessions that are not done by then are aborted when the set is dropped.
    let _ = timeout(CLOSE_MAX, finished).await;
    Ok(())
}

/// Tells a client that there is no room. Does not wait: what does not fit the socket's buffer is not sent.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(b"too many sessions on this peer; close one, or use HTTP\n");
}

/// One client, from greeting to end. Its errors are the client's connection: nobody is left to tell.
async fn session(stream: TcpStream, cluster: Arc<dyn Cluster>, stop: CancellationToken) {
    let (input, output) = stream.into_split();
    let mut session = Session {
        input: BufReader::new(input),
        output,
        cluster,
        stop,
    };
    if let Err(error) = session.run().await {
        tracing::debug!(error = %error, "shell session ended");
    }
}

/// A session over any pair of byte streams.
struct Session<R, W> {
    input: R,
    output: W,
    cluster: Arc<dyn Cluster>,
    stop: CancellationToken,
}

/// What the next line is.
#[derive(Debug, PartialEq, Eq)]
enum Input {
    Line(String),
    NotText,
    TooLong,
    End,
}

impl<R: AsyncBufRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    async fn run(&mut self) -> io::Result<()> {
        let greeting = format!("peer {}; `help` lists the commands\n{PROMPT}", env!("CARGO_PKG_VERSION"));
        self.say(&greeting).await?;
        let mut is_first = true;
        loop {
            let text = match self.next_line().await? {
                Input::Line(text) => text,
                Input::NotText => {
                    self.refuse(
                        &Refusal::usage(
                            "line",
                            "bytes that are not UTF-8",
                            "text in UTF-8",
                            "set the terminal to UTF-8",
                        ),
                        false,
                    )
                    .await?;
                    continue;
                }
                Input::TooLong => return self.too_long().await,
                Input::End => return Ok(()),
            };
            if is_first && text.contains(" HTTP/") {
                return self
                    .say("\nthis is the shell, not HTTP; the HTTP door has its own port\n")
                    .await;
            }
            is_first = false;
            if !self.answer(&text).await? {
                return Ok(());
            }
        }
    }

    /// Answers one line; false ends the session.
    async fn answer(&mut self, text: &str) -> io::Result<bool> {
        let line = match parse::line(text) {
            Ok(line) => line,
            Err(refusal) => {
                let is_json = text.split_whitespace().any(|word| word == "--json");
                self.refuse(&refusal, is_json).await?;
                return Ok(true);
            }
        };
        let command = match line.request {
            Request::Nothing => {
                self.say(PROMPT).await?;
                return Ok(true);
            }
            Request::Quit => return Ok(false),
            Request::Run(command) => command,
            Request::SubmitText { request, end } => match self.text_in_hand(&end, line.is_json).await? {
                ControlFlow::Continue(text) => Command::Submit(SubmitRequest { text, ..request }),
                ControlFlow::Break(goes_on) => return Ok(goes_on),
            },
            Request::CheckText { end } => match self.text_in_hand(&end, line.is_json).await? {
                ControlFlow::Continue(text) => Command::Check { text },
                ControlFlow::Break(goes_on) => return Ok(goes_on),
            },
            Request::PlanText { end } => match self.text_in_hand(&end, line.is_json).await? {
                ControlFlow::Continue(text) => Command::Plan { text },
                ControlFlow::Break(goes_on) => return Ok(goes_on),
            },
        };
        match execute(&*self.cluster, command).await {
            Ok(answer) if line.is_json => self.json(&answer).await?,
            Ok(answer) => {
                self.say(&format!("{}{PROMPT}", render::answer(&answer, render::WIDTH_DEFAULT)))
                    .await?
            }
            Err(refusal) => self.refuse(&refusal, line.is_json).await?,
        }
        Ok(true)
    }

    /// The text that follows, up to `end`. Break: there is none, which is told; false: the session is over.
    async fn text_in_hand(&mut self, end: &str, is_json: bool) -> io::Result<ControlFlow<bool, String>> {
        Ok(match self.job_text(end).await? {
            Some(Ok(text)) => ControlFlow::Continue(text),
            Some(Err(refusal)) => {
                self.refuse(&refusal, is_json).await?;
                ControlFlow::Break(true)
            }
            None => ControlFlow::Break(false),
        })
    }

    /// Reads lines up to `end`. None: the session is over. A text that is too large is read to its end and refused, so that
    /// its lines are not taken for commands.
    async fn job_text(&mut self, end: &str) -> io::Result<Option<Result<String, Refusal>>> {
        let mut text = String::new();
        let mut bytes = 0_usize;
        let mut is_text = true;
        loop {
            match self.next_line().await? {
                Input::Line(line) if line.trim_end() == end => break,
                Input::Line(line) => {
                    bytes = bytes.saturating_add(line.len() + 1);
                    if bytes <= JOB_TEXT_BYTES_MAX {
                        text.push_str(&line);
                        text.push('\n');
                    }
                }
                Input::NotText => is_text = false,
                Input::TooLong => return self.too_long().await.map(|()| None),
                Input::End => return Ok(None),
            }
        }
        let refuse = |found: String| {
            let expected = format!("a job.toml of at most {JOB_TEXT_BYTES_MAX} bytes");
            Some(Err(Refusal::invalid(Fault::new(
                "PEER1055",
                "job text",
                found,
                expected,
                "send the text of job.toml",
            ))))
        };
        Ok(match (bytes > JOB_TEXT_BYTES_MAX, is_text) {
            (true, _) => refuse(format!("{bytes} bytes")),
            (_, false) => refuse("bytes that are not UTF-8".to_owned()),
            _ => Some(Ok(text)),
        })
    }

    async fn too_long(&mut self) -> io::Result<()> {
        let found = format!("more than {LINE_BYTES_MAX} bytes; the connection is closed");
        let expected = format!("at most {LINE_BYTES_MAX} bytes in a line");
        let fault = Fault::new("PEER1058", "line", found, expected, "submit a job with `peer submit FILE`");
        self.say(&render::refusal(&Refusal::invalid(fault))).await
    }

    async fn json(&mut self, body: &impl serde::Serialize) -> io::Result<()> {
        let text = serde_json::to_string(body).map_err(io::Error::other)?;
        self.say(&format!("{text}\n{PROMPT}")).await
    }

    async fn refuse(&mut self, refusal: &Refusal, is_json: bool) -> io::Result<()> {
        if is_json {
            return self.json(&refusal.body()).await;
        }
        self.say(&format!("{}{PROMPT}", render::refusal(refusal))).await
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let write = async {
            self.output.write_all(text.as_bytes()).await?;
            self.output.flush().await
        };
        timeout(WRITE_MAX, write)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))?
    }

    /// The next line, or the end: of the input, of patience, or of the peer.
    async fn next_line(&mut self) -> io::Result<Input> {
        tokio::select! {
            () = self.stop.cancelled() => Ok(Input::End),
            read = timeout(IDLE_MAX, read_line(&mut self.input)) => read.unwrap_or(Ok(Input::End)),
        }
    }
}

/// Reads one line of at most [`LINE_BYTES_MAX`]; never holds more.
async fn read_line<R: AsyncBufRead + Unpin>(input: &mut R) -> io::Result<Input> {
    let mut bytes = Vec::new();
    let mut limited = input.take(LINE_BYTES_MAX as u64 + 1);
    if limited.read_until(b'\n', &mut bytes).await? == 0 {
        return Ok(Input::End);
    }
    if bytes.last() != Some(&b'\n') && bytes.len() > LINE_BYTES_MAX {
        return Ok(Input::TooLong);
    }
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        bytes.pop();
    }
    Ok(String::from_utf8(without_telnet(&bytes)).map_or(Input::NotText, Input::Line))
}

/// Takes out the commands a telnet client may send (RFC 854: 255, a command, and for 251–254 an option).
fn without_telnet(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != 255 {
            kept.push(byte);
            continue;
        }
        let skip = match rest.first() {
            Some(251..=254) => 2,
            Some(_) => 1,
            None => 0,
        };
        rest = &rest[skip.min(rest.len())..];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_at_lf_or_crlf_and_at_the_end_of_input() {
        let mut input: &[u8] = b"members\r\njobs\n\xff\xfb\x01help";
        for expected in ["members", "jobs", "help"] {
            assert_eq!(read_line(&mut input).await.expect("reads"), Input::Line(expected.to_owned()));
        }
        assert_eq!(read_line(&mut input).await.expect("reads"), Input::End);
    }

    #[tokio::test]
    async fn a_line_one_byte_over_the_bound_is_too_long() {
        let mut fits = vec![b'a'; LINE_BYTES_MAX - 1];
        fits.push(b'\n');
        assert!(matches!(read_line(&mut &fits[..]).await.expect("reads"), Input::Line(_)));
        let over = vec![b'a'; LINE_BYTES_MAX + 1];
        assert_eq!(read_line(&mut &over[..]).await.expect("reads"), Input::TooLong);
    }

    #[test]
    fn telnet_commands_are_passed_over_even_when_cut() {
        assert_eq!(without_telnet(&[255, 253, 3, b'a', 255, 241, b'b']), b"ab");
        assert_eq!(without_telnet(&[b'a', 255, 253]), b"a");
        assert_eq!(without_telnet(&[b'a', 255]), b"a");
    }
}
