//! The rows as a picture: a bar for each median, on a logarithmic scale.

use std::fmt::Write as _;

use super::report::{Row, milliseconds};

const WIDTH: f64 = 860.0;
/// Where bars begin, and how long the longest may be.
const LEFT: f64 = 250.0;
const SPAN: f64 = 520.0;
const BAR: f64 = 16.0;
const GAP: f64 = 14.0;
/// The scale's ends, as powers of ten of milliseconds.
const DECADES: (i32, i32) = (-1, 4);

/// A picture that stands alone, legible on light and on dark ground.
pub(crate) fn svg(rows: &[Row]) -> String {
    let mut body = String::new();
    let mut top = 34.0;
    for row in rows {
        text(&mut body, LEFT, top + 11.0, "start", "work", row.work);
        top += BAR + 4.0;
        let limit = place(row.goal.limit(row.baseline()));
        let last = row.samples.len().saturating_sub(1);
        for (number, samples) in row.samples.iter().enumerate() {
            let median = samples.median();
            let class = if number == last { "ours" } else { "theirs" };
            let (long, middle) = (place(median) - LEFT, top + BAR - 4.0);
            text(&mut body, LEFT - 8.0, middle, "end", class, samples.name);
            element(
                &mut body,
                &format!(
                    "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{long:.1}\" height=\"{}\"/>",
                    BAR - 2.0
                ),
            );
            let figure = format!("{} ms", milliseconds(median));
            text(
                &mut body,
                LEFT + long + 6.0,
                middle,
                "start",
                class,
                &figure,
            );
            if number == last {
                let (from, to) = (top - 2.0, top + BAR);
                element(
                    &mut body,
                    &format!("<path class=\"goal\" d=\"M{limit:.1} {from}V{to}\"/>"),
                );
            }
            top += BAR;
        }
        top += GAP;
    }
    let mut scale = String::new();
    for decade in DECADES.0..=DECADES.1 {
        let at = place(10_f64.powi(decade));
        element(
            &mut scale,
            &format!("<path class=\"grid\" d=\"M{at:.1} 24V{top}\"/>"),
        );
        let label = format!("{} ms", 10_f64.powi(decade));
        text(&mut scale, at, 16.0, "middle", "theirs", &label);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <style>\n\
         text {{ fill: #777 }} text.ours {{ fill: #0a7d5a; font-weight: 600 }} text.work {{ font-weight: 600 }}\n\
         rect.theirs {{ fill: #a8adb5 }} rect.ours {{ fill: #0fa573 }}\n\
         .grid {{ stroke: #8884; fill: none }} .goal {{ stroke: #d1495b; stroke-width: 2; fill: none }}\n\
         </style>\n\
         <title>Medians in milliseconds, logarithmic; a red line is the goal</title>\n\
         {scale}{body}</svg>\n"
    )
}

/// Where on the scale a time is; times beyond its ends are at the ends.
fn place(milliseconds: f64) -> f64 {
    let (low, high) = (f64::from(DECADES.0), f64::from(DECADES.1));
    let share = (milliseconds.log10() - low) / (high - low);
    LEFT + SPAN * share.clamp(0.0, 1.0)
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    element(
        body,
        &format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
        ),
    );
}

fn element(body: &mut String, element: &str) {
    // A string takes all that is written to it.
    writeln!(body, "{element}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::below(0.01, LEFT)]
    #[case::lowest(0.1, LEFT)]
    #[case::highest(10_000.0, LEFT + SPAN)]
    #[case::beyond(1e9, LEFT + SPAN)]
    #[case::fifth(1.0, LEFT + SPAN / 5.0)]
    fn a_time_has_its_place_on_the_scale(#[case] milliseconds: f64, #[case] expected: f64) {
        assert!((place(milliseconds) - expected).abs() < 1e-9);
    }
}
