//! Sets up the log: to stderr, as text for people or JSON for machines.
//!
//! Called once by the node. `PEER_LOG` is a filter in the form of `tracing-subscriber` (`info`, `peer=debug,quinn=warn`),
//! `PEER_LOG_FORMAT` is `text` or `json`; the caller reads both and hands them in.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged when nothing is said: our own states, and only the troubles of the crates below.
pub const FILTER_DEFAULT: &str = "warn,peer=info";

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Nothing is logged; the caller tells the person and exits.
#[derive(Debug, Error)]
pub enum LogError {
    /// `PEER_LOG` is not a filter.
    #[error("PEER_LOG is `{found}`, expected a filter such as `info` or `peer=debug,quinn=warn`: {reason}")]
    Filter {
        /// What it is.
        found: String,
        /// Where it breaks.
        reason: String,
    },
    /// `PEER_LOG_FORMAT` is another word.
    #[error("PEER_LOG_FORMAT is `{found}`, expected `text` or `json`")]
    Format {
        /// What it is.
        found: String,
    },
    /// A log is set up already.
    #[error("a log is set up already in this process")]
    Twice,
}

impl LogFormat {
    /// Reads the word of `PEER_LOG_FORMAT`.
    ///
    /// # Errors
    /// Another word than `text` and `json`.
    pub fn parse(word: &str) -> Result<Self, LogError> {
        match word {
            "" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            found => Err(LogError::Format { found: found.to_owned() }),
        }
    }
}

/// Starts logging to stderr.
///
/// # Errors
/// The filter does not parse, or a log is there already.
pub fn init(filter: Option<&str>, format: LogFormat) -> Result<(), LogError> {
    let found = filter.filter(|text| !text.is_empty()).unwrap_or(FILTER_DEFAULT);
    let filter = EnvFilter::try_new(found).map_err(|error| LogError::Filter {
        found: found.to_owned(),
        reason: error.to_string(),
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let done = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    done.map_err(|_| LogError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_is_refused_with_what_it_was() {
        let text = LogFormat::parse("yaml").expect_err("no such format").to_string();
        assert!(text.contains("yaml") && text.contains("json"), "{text}");
        let text = init(Some("peer=loud"), LogFormat::Text)
            .expect_err("no such level")
            .to_string();
        assert!(text.contains("peer=loud"), "{text}");
    }
}
