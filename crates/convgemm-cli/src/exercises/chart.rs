//! Line charts as SVG.

use std::fmt::Write;

/// A name and the points of a line.
pub type Series = (String, Vec<(f64, f64)>);

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// Values are spread by their logarithm where the largest is this many times the smallest.
const WIDE: f64 = 30.0;

/// More points than a line of this many pixels can show are thinned out.
const MOST_POINTS: usize = 400;

/// From values to pixels.
struct Scale {
    log: bool,
    low: f64,
    high: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64> + Clone, wide: f64) -> Self {
        let values = values.filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return Self { log: false, low: 0.0, high: 1.0 };
        }
        let log = low > 0.0 && high / low >= wide;
        let (low, high) = if log { (low.log10().floor(), high.log10().ceil()) } else { (low, high) };
        Self { log, low, high: if high > low { high } else { low + 1.0 } }
    }

    /// Where in 0…1 a value lies.
    fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Round values with their labels, at most seven.
    fn ticks(&self) -> Vec<(f64, String)> {
        if self.log {
            let step = ((self.high - self.low) / 6.0).ceil().max(1.0);
            let exponents = (0..).map(|i| self.low + f64::from(i) * step).take_while(|&e| e <= self.high);
            return exponents.map(|e| (10_f64.powf(e), label(10_f64.powf(e)))).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let unit = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * unit).find(|&step| step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil();
        let values = (0..).map(|i| (first + f64::from(i)) * step).take_while(|&v| v <= self.high + step * 1e-9);
        values.map(|v| (v, label(v))).collect()
    }
}

fn label(value: f64) -> String {
    if value != 0.0 && (value.abs() < 0.01 || value.abs() >= 1e5) {
        return format!("{value:.0e}").replace('-', "−");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−").replace("−0.000", "0")
}

/// A chart to stand in a page, which brings the style.
pub fn lines(name: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let count = series.iter().map(|(_, points)| points.len()).max().unwrap_or(0);
    // A few positions far apart are steps that were halved; many are steps that were counted.
    let x = Scale::new(points().map(|p| p.0), if count <= 8 { 8.0 } else { f64::INFINITY });
    let y = Scale::new(points().map(|p| p.1), WIDE);
    let px = |value| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
    let py = |value| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escaped(name)
    );
    for (value, text) in y.ticks() {
        let at = py(value);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{}\"/>", WIDTH - RIGHT);
        let _ = write!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 6.0, at + 4.0);
    }
    for (value, text) in x.ticks() {
        let (at, low) = (px(value), HEIGHT - BOTTOM);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{at:.1} {TOP}V{low}\"/>");
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", low + 18.0);
    }
    for (number, (_, points)) in series.iter().enumerate() {
        let step = points.len().div_ceil(MOST_POINTS).max(1);
        let mut path = String::new();
        let shown = || points.iter().step_by(step).filter(|p| p.1.is_finite() && (!y.log || p.1 > 0.0));
        for (i, &(x, y)) in shown().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, px(x), py(y));
        }
        let _ = write!(svg, "<path class=\"line line-{}\" d=\"{path}\"/>", number % 6);
        if points.len() <= 24 {
            for &(x, y) in shown() {
                let _ = write!(
                    svg,
                    "<circle class=\"dot-{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"/>",
                    number % 6,
                    px(x),
                    py(y)
                );
            }
        }
    }
    svg + "</svg>"
}

/// A chart that brings its own style, for a file.
pub fn standalone(name: &str, series: &[Series]) -> String {
    let style = "<style>svg{background:#fff;font:12px sans-serif}.grid{stroke:#ddd}.line{fill:none;stroke-width:2;\
                 stroke:#1f6fb2}circle{fill:#1f6fb2}</style>";
    let title = format!("<title>{}</title>{style}", escaped(name));
    let svg = lines(name, series);
    match svg.find('>') {
        Some(end) => format!("{}{title}{}\n", &svg[..=end], &svg[end + 1..]),
        None => svg,
    }
}

/// Text as it may stand in HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Vec<Series> {
        vec![("a < b".to_owned(), points.to_vec())]
    }

    #[test]
    fn losses_that_shrink_far_are_drawn_by_their_logarithm() {
        let points: Vec<_> = (1..=20).map(|i| (f64::from(i), 0.5_f64.powi(i))).collect();
        let svg = lines("loss", &series(&points));
        assert!(svg.contains(">1e−5<") && svg.contains(">5<"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 20);
    }

    #[test]
    fn nothing_infinities_and_a_single_value_give_a_chart_without_nonsense() {
        for points in [&[][..], &[(1.0, 2.0)], &[(1.0, f64::NAN), (2.0, f64::INFINITY)], &[(1.0, 0.0), (2.0, 0.0)]] {
            let svg = standalone("a & b", &series(points));
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("a &amp; b"), "{svg}");
        }
    }
}
