//! Shows how far a job is while somebody waits: bars on a terminal, else a line each 5 s; always on stderr.
//!
//! Fed by `watch` with each status. Bars: one for the whole copy and one for each table under way, at most ten.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::admin::render;
use crate::admin::views::{CopyView, JobPhase, StatusView};
use crate::core::job_state::TableProgress;

/// Bars of tables at a time; more do not fit a screen.
const TABLE_BARS_MAX: usize = 10;
/// Letters of a table's name; with bar and rows it makes 80 columns.
const NAME_CHARS_MAX: usize = 32;
/// Between two lines when nobody watches live.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// One way of showing.
pub enum Progress {
    /// On a terminal.
    Bars(Box<Bars>),
    /// In a log.
    Lines(Lines),
}

impl Progress {
    /// Bars when stderr is a terminal.
    #[must_use]
    pub fn new() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bars(Box::new(Bars::new()))
        } else {
            Self::Lines(Lines::default())
        }
    }

    /// Shows the newest status.
    pub fn show(&mut self, view: &StatusView) {
        match self {
            Self::Bars(bars) => bars.show(view),
            Self::Lines(lines) => lines.show(view),
        }
    }

    /// Says something that stays on the screen.
    pub fn say(&self, text: &str) {
        match self {
            // An error here means that the terminal is gone, and so is whoever waits.
            Self::Bars(bars) => bars.all.println(text).unwrap_or_default(),
            Self::Lines(_) => eprintln!("{text}"),
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        if let Self::Bars(bars) = self {
            bars.all.clear().unwrap_or_default();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// Bars on a terminal.
pub struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    tables: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        // Cut to the terminal: a reason may be long, and what wraps cannot be drawn over.
        let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is valid");
        let total = all.add(ProgressBar::new_spinner().with_style(style));
        total.enable_steady_tick(Duration::from_millis(100));
        Self {
            all,
            total,
            tables: BTreeMap::new(),
        }
    }

    fn show(&mut self, view: &StatusView) {
        self.total.set_message(summary(view));
        let open = view
            .copy
            .tables_detail
            .iter()
            .filter(|table| table.state == "copying")
            .take(TABLE_BARS_MAX);
        let open: BTreeMap<String, &TableProgress> = open
            .map(|table| (format!("{}.{}", table.schema, table.table), table))
            .collect();
        self.tables.retain(|name, bar| {
            let stays = open.contains_key(name);
            if !stays {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            stays
        });
        for (name, table) in open {
            let bar = self
                .tables
                .entry(name.clone())
                .or_insert_with(|| self.all.add(table_bar(&name)));
            // Without an estimate the bar stays empty; an estimate that was too low grows with the rows.
            match table.rows_estimate {
                Some(estimate) => bar.set_length(estimate.max(table.rows)),
                None => bar.unset_length(),
            }
            bar.set_position(table.rows);
            bar.set_message(rows_of(table));
        }
    }
}

/// Fits 80 columns. The time left is told once, for the whole copy: tables share the work, so one of a table alone is a guess
/// that contradicts it.
fn table_bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {prefix:<32} [{bar:16}] {wide_msg}")
        .expect("the template is valid")
        .progress_chars("=> ");
    // A length of 0 would flash as a full bar.
    ProgressBar::no_length().with_style(style).with_prefix(shortened(name))
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    let kept: String = name.chars().take(NAME_CHARS_MAX - 1).collect();
    format!("{kept}…")
}

fn rows_of(table: &TableProgress) -> String {
    let rows = render::count(table.rows);
    // Once the rows are past it the estimate was wrong, and says nothing.
    let estimate = table.rows_estimate.filter(|estimate| *estimate >= table.rows);
    estimate.map_or_else(
        || format!("{rows} rows"),
        |n| format!("{rows} of about {} rows", render::count(n)),
    )
}

/// Lines in a log: when the state changes, and each 5 s.
#[derive(Default)]
pub struct Lines {
    told: Option<(JobPhase, Instant)>,
}

impl Lines {
    fn show(&mut self, view: &StatusView) {
        let is_due = self
            .told
            .is_none_or(|(state, at)| state != view.state || at.elapsed() >= LINE_EVERY);
        if is_due {
            self.told = Some((view.state, Instant::now()));
            eprintln!("{}", summary(view));
        }
    }
}

fn summary(view: &StatusView) -> String {
    let mut text = format!("{}: {}", view.name, view.state.word());
    if let Some(reason) = &view.reason {
        text.push_str(&format!(", {reason}"));
    }
    if view.state == JobPhase::Copying {
        text.push_str(&copied(&view.copy));
    }
    text
}

fn copied(copy: &CopyView) -> String {
    let (Some(done), Some(tables), Some(rows)) = (copy.tables_done, copy.tables, copy.rows) else {
        return String::new();
    };
    let of = copy
        .rows_estimate
        .map(|n| format!(" of about {}", render::count(n)))
        .unwrap_or_default();
    let left = copy
        .eta_ms
        .filter(|_| done < tables)
        .map(|ms| format!(", about {} left", render::duration_ms(ms)))
        .unwrap_or_default();
    format!(", {done} of {tables} tables, {}{of} rows{left}", render::count(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::views::Desired;

    fn copying() -> StatusView {
        let table = |name: &str, rows| TableProgress {
            schema: "shop".into(),
            table: name.into(),
            state: "copying".into(),
            rows,
            rows_estimate: Some(200),
        };
        let mut view = StatusView {
            state: JobPhase::Copying,
            ..StatusView::unmeasured("orders", 1, 1, Desired::Run)
        };
        view.copy = CopyView {
            tables_done: Some(0),
            tables: Some(2),
            rows: Some(100),
            rows_estimate: Some(400),
            eta_ms: Some(1_500),
            tables_detail: vec![table("a", 60), table("b", 40)],
            ..CopyView::default()
        };
        view
    }

    #[test]
    fn a_line_tells_tables_rows_and_time_left() {
        assert_eq!(
            summary(&copying()),
            "orders: copying, 0 of 2 tables, 100 of about 400 rows, about 1.5 s left"
        );
    }

    #[test]
    fn a_bar_tells_rows_of_the_estimate_as_long_as_that_can_be_right() {
        let mut table = copying().copy.tables_detail[0].clone();
        assert_eq!(rows_of(&table), "60 of about 200 rows");
        table.rows = 201;
        assert_eq!(rows_of(&table), "201 rows");
        assert_eq!(shortened(&"n".repeat(40)).chars().count(), NAME_CHARS_MAX);
    }

    #[test]
    fn a_bar_stays_as_long_as_its_table_is_copied() {
        let mut bars = Bars::new();
        bars.show(&copying());
        assert_eq!(bars.tables.keys().collect::<Vec<_>>(), ["shop.a", "shop.b"]);
        let mut view = copying();
        view.copy.tables_detail[0].state = "done".into();
        view.copy.tables_detail[1].rows = 250;
        bars.show(&view);
        assert_eq!(bars.tables.keys().collect::<Vec<_>>(), ["shop.b"]);
        assert_eq!(
            bars.tables["shop.b"].length(),
            Some(250),
            "an estimate never stays below the rows"
        );
    }
}
