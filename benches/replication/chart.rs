//! The ratios as a picture: one bar per workload, MySQL's own replica is 1.

use std::fmt::Write as _;

const BAR: f64 = 22.0;
const GAP: f64 = 14.0;
const LEFT: f64 = 230.0;
const WIDTH: f64 = 560.0;
const TOP: f64 = 46.0;

/// A workload and how many times faster than the replica it went.
pub struct Bar {
    pub name: String,
    pub about: String,
    pub ratio: f64,
}

/// An SVG that is readable on light and dark pages.
pub fn svg(bars: &[Bar]) -> String {
    let top_ratio = bars.iter().map(|bar| bar.ratio).fold(1.0, f64::max);
    let x = |ratio: f64| LEFT + ratio / top_ratio * WIDTH;
    let height = TOP + bars.len() as f64 * (BAR + GAP) + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#666\">\n\
         <text x=\"10\" y=\"22\" font-size=\"15\">Catching up: times as fast as MySQL's own replica with 4 workers</text>\n",
        LEFT + WIDTH + 80.0
    );
    for (at, bar) in bars.iter().enumerate() {
        let y = TOP + at as f64 * (BAR + GAP);
        let text = y + BAR * 0.7;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<text x=\"10\" y=\"{text}\">{} {}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"#2a78c2\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{:.1}×</text>",
            bar.name,
            bar.about,
            x(bar.ratio) - LEFT,
            x(bar.ratio) + 6.0,
            bar.ratio
        );
    }
    let _ = writeln!(
        out,
        "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1}\" stroke=\"#c0392b\" stroke-width=\"2\"/>\n</svg>",
        x(1.0),
        height - 10.0
    );
    out
}
