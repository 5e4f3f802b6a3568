//! A table without lines, as narrow as its words allow. Used by the other files of the folder.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// Lays out `rows` below `header` within `width` columns; long cells break over lines. Ends with a line end.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: u16) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cell_breaks_instead_of_leaving_the_screen() {
        let rows = vec![
            vec!["a".to_owned(), "word ".repeat(40)],
            vec!["b".to_owned(), "x".repeat(200)],
        ];
        let text = table(&["K", "V"], rows, 80);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
