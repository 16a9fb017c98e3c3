//! Two policies beside each other, as one page that needs nothing else: figures in a table, and what lies behind them
//! as curves. Drawn here as SVG; light or dark as the reader's screen is; without a script.

use std::fmt::Write;

use super::people::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::report::{Report, gini, percent};

/// The width and height of a chart's inner field, and the margins round it, in units of its drawing.
const FIELD: (f64, f64) = (400.0, 210.0);
const MARGIN: (f64, f64, f64, f64) = (14.0, 92.0, 34.0, 44.0);
/// Points of one curve, at most.
const POINTS_MAX: usize = 160;

/// How an axis is divided.
#[derive(Clone, Copy)]
enum Scale {
    Even,
    /// Each step is a multiple of the last.
    Log,
}

struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Where a value lies, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let (from, to, value) = match self.scale {
            Scale::Even => (self.from, self.to, value),
            Scale::Log => (self.from.ln(), self.to.ln(), value.max(self.from).ln()),
        };
        ((value - from) / (to - from)).clamp(0.0, 1.0)
    }
}

struct Chart<'a> {
    title: &'a str,
    about: &'a str,
    x_name: &'a str,
    x: Axis,
    y: Axis,
    /// A curve for each policy, left to right.
    curves: [Vec<(f64, f64)>; 2],
    /// A line to compare with, from the lower left to the upper right.
    even: bool,
}

/// The page.
pub fn page(first: &Report, second: &Report, names: [&str; 2]) -> String {
    let names = names.map(escaped);
    let reports = [first, second];
    let mut html = String::with_capacity(48 * 1024);
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{} against {}</title>\n<style>{STYLE}</style>\n<main>\n<h1><span class=\"a\">{}</span> against \
         <span class=\"b\">{}</span></h1>\n<p class=\"about\">The same {} friends and the same demand over {} days, \
         {} jobs, dispatched by two policies. Simulated: <code>{}</code></p>\n",
        names[0],
        names[1],
        names[0],
        names[1],
        grouped(first.friends.into()),
        first.days,
        grouped(first.jobs.posted),
        escaped(&first.command),
    );
    heroes(&mut html, reports, &names);
    html.push_str("<section class=\"charts\">\n");
    for chart in charts(reports) {
        draw(&mut html, &chart, &names);
    }
    html.push_str("</section>\n");
    table(&mut html, reports, &names);
    html.push_str("</main>\n</html>\n");
    html
}

/// The two figures by which a policy is judged first.
fn heroes(html: &mut String, reports: [&Report; 2], names: &[String; 2]) {
    type Figure = fn(&Report) -> String;
    let figures: [(&str, Figure); 4] = [
        ("of jobs are filled", |report| percent(report.fill())),
        ("is when 80 % of the taken jobs have somebody", |report| figure(report, "time to assign, 80 % within")),
        ("friends are asked for a job, on average", |report| figure(report, "offers per job, mean")),
        ("is the Gini of income among friends", |report| format!("{:.3}", gini(&report.income))),
    ];
    html.push_str("<section class=\"heroes\">\n");
    for (about, of) in figures {
        html.push_str("<div>");
        for (report, (class, name)) in reports.into_iter().zip([("a", &names[0]), ("b", &names[1])]) {
            let _ = write!(html, "<p class=\"hero\"><b>{}</b> <span class=\"{class}\">{name}</span></p>", of(report));
        }
        let _ = writeln!(html, "<p class=\"about\">{about}</p></div>");
    }
    html.push_str("</section>\n");
}

fn figure(report: &Report, name: &str) -> String {
    report.figures().into_iter().find(|(found, _)| *found == name).map(|(_, value)| value).unwrap_or_default()
}

fn table(html: &mut String, reports: [&Report; 2], names: &[String; 2]) {
    let _ = write!(
        html,
        "<table>\n<thead><tr><th></th><th class=\"a\">{}</th><th class=\"b\">{}</th></tr></thead>\n<tbody>\n",
        names[0], names[1]
    );
    let [first, second] = reports.map(Report::figures);
    for ((name, one), (_, other)) in first.into_iter().zip(second) {
        let _ = writeln!(html, "<tr><th>{name}</th><td>{}</td><td>{}</td></tr>", escaped(&one), escaped(&other));
    }
    html.push_str("</tbody>\n</table>\n");
}

fn charts(reports: [&Report; 2]) -> Vec<Chart<'static>> {
    let shares = || Axis {
        from: 0.0,
        to: 1.0,
        scale: Scale::Even,
        ticks: [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{:.0} %", share * 100.0))).to_vec(),
    };
    let ticks =
        |ticks: &[(i64, &str)]| ticks.iter().map(|(at, name)| (*at as f64, (*name).to_owned())).collect::<Vec<_>>();
    let longest_wait = reports.map(|report| report.first_offer_ms.last().copied().unwrap_or(0)).into_iter().max();
    let days = (longest_wait.unwrap_or(0) as f64 / DAY_MS as f64).ceil().max(1.0);
    let most_asked = reports.map(|report| report.offers_per_job.last().copied().unwrap_or(1)).into_iter().max();
    let most_asked = f64::from(most_asked.unwrap_or(1).max(4));
    let farthest = reports.map(|report| report.winner_m.last().copied().unwrap_or(1_000)).into_iter().max();
    let farthest = f64::from(farthest.unwrap_or(1_000)).max(5_000.0);
    vec![
        Chart {
            title: "How soon a job has somebody",
            about: "Jobs that were taken, as a share of those that wanted somebody, by the time since the post. Where a \
                    curve ends is the fill rate.",
            x_name: "since the post",
            x: Axis {
                from: 30_000.0,
                to: 72.0 * HOUR_MS as f64,
                scale: Scale::Log,
                ticks: ticks(&[
                    (MINUTE_MS, "1 min"),
                    (5 * MINUTE_MS, "5"),
                    (15 * MINUTE_MS, "15"),
                    (HOUR_MS, "1 h"),
                    (4 * HOUR_MS, "4"),
                    (12 * HOUR_MS, "12"),
                    (72 * HOUR_MS, "72"),
                ]),
            },
            y: shares(),
            curves: reports.map(|report| cumulative(&report.assign_ms, report.fill())),
            even: false,
        },
        Chart {
            title: "How many friends are asked",
            about: "Jobs for which at most so many friends were asked.",
            x_name: "friends asked for one job",
            x: Axis { from: 0.0, to: most_asked, scale: Scale::Even, ticks: round_ticks(most_asked, "") },
            y: shares(),
            curves: reports.map(|report| cumulative(&report.offers_per_job, 1.0)),
            even: false,
        },
        Chart {
            title: "How far the winner was",
            about: "Jobs whose winner stood at most so far away when asked.",
            x_name: "kilometres",
            x: Axis {
                from: 0.0,
                to: farthest,
                scale: Scale::Even,
                ticks: round_ticks(farthest / 1_000.0, "").into_iter().map(|(km, name)| (km * 1_000.0, name)).collect(),
            },
            y: shares(),
            curves: reports.map(|report| cumulative(&report.winner_m, 1.0)),
            even: false,
        },
        Chart {
            title: "How long friends wait for a first offer",
            about: "Friends who have had an offer so long after they first went on duty. Who never had one waits to \
                    the end.",
            x_name: "days since first on duty",
            x: Axis { from: 0.0, to: days, scale: Scale::Even, ticks: round_ticks(days, "") },
            y: shares(),
            curves: reports.map(|report| {
                let days: Vec<f64> = report.first_offer_ms.iter().map(|ms| *ms as f64 / DAY_MS as f64).collect();
                cumulative_of(&days, 1.0)
            }),
            even: false,
        },
        Chart {
            title: "How offers are spread",
            about: "The share of all offers that went to so many friends, those with the fewest first. On the straight \
                    line it would be the same for all.",
            x_name: "share of friends",
            x: shares(),
            y: shares(),
            curves: reports.map(|report| lorenz(report.offers_per_friend.iter().map(|offers| f64::from(*offers)))),
            even: true,
        },
        Chart {
            title: "How income is spread",
            about: "The share of all income that went to so many friends, those with the least first.",
            x_name: "share of friends",
            x: shares(),
            y: shares(),
            curves: reports.map(|report| lorenz(report.income.iter().map(|income| *income as f64))),
            even: true,
        },
    ]
}

fn cumulative<T: Copy + Into<i64>>(values: &[T], up_to: f64) -> Vec<(f64, f64)> {
    let values: Vec<f64> = values.iter().map(|value| (*value).into() as f64).collect();
    cumulative_of(&values, up_to)
}

/// How large a share of ascending values is at most so large; all of them are `up_to`.
fn cumulative_of(values: &[f64], up_to: f64) -> Vec<(f64, f64)> {
    let count = values.len().max(1) as f64;
    let step = values.len().div_ceil(POINTS_MAX).max(1);
    let mut curve: Vec<(f64, f64)> = vec![(0.0, 0.0)];
    for (index, value) in values.iter().enumerate() {
        if index % step == 0 || index + 1 == values.len() {
            curve.push((*value, (index + 1) as f64 / count * up_to));
        }
    }
    curve
}

/// The share of the whole that the poorest so many have, of ascending values.
fn lorenz(values: impl ExactSizeIterator<Item = f64> + Clone) -> Vec<(f64, f64)> {
    let (count, total) = (values.len().max(1), values.clone().sum::<f64>().max(1e-9));
    let step = count.div_ceil(POINTS_MAX).max(1);
    let mut curve = vec![(0.0, 0.0)];
    let mut sum = 0.0;
    for (index, value) in values.enumerate() {
        sum += value;
        if index % step == 0 || index + 1 == count {
            curve.push(((index + 1) as f64 / count as f64, sum / total));
        }
    }
    curve
}

/// Four to eight round numbers from 0 to `to`.
fn round_ticks(to: f64, unit: &str) -> Vec<(f64, String)> {
    let rough = to / 6.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough).unwrap_or(power);
    (0..=8)
        .map(|index| f64::from(index) * step)
        .filter(|value| *value <= to + 1e-9)
        .map(|value| (value, if step < 1.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }))
        .collect()
}

fn draw(html: &mut String, chart: &Chart<'_>, names: &[String; 2]) {
    let (top, right, bottom, left) = MARGIN;
    let (width, height) = (FIELD.0 + left + right, FIELD.1 + top + bottom);
    let at = |x: f64, y: f64| (left + chart.x.place(x) * FIELD.0, top + (1.0 - chart.y.place(y)) * FIELD.1);
    let _ = write!(
        html,
        "<figure>\n<figcaption><b>{}</b> {}</figcaption>\n\
         <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n",
        chart.title, chart.about, chart.title
    );
    for (value, name) in &chart.y.ticks {
        let (_, y) = at(chart.x.from, *value);
        let _ = writeln!(
            html,
            "<path class=\"grid\" d=\"M{left} {y:.1}h{}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            FIELD.0,
            left - 8.0,
            y + 4.0
        );
    }
    for (value, name) in &chart.x.ticks {
        let (x, _) = at(*value, 0.0);
        let _ = writeln!(html, "<text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>", top + FIELD.1 + 16.0);
    }
    let _ = writeln!(
        html,
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        left + FIELD.0 / 2.0,
        height - 2.0,
        chart.x_name
    );
    if chart.even {
        let ((x, y), (to_x, to_y)) = (at(0.0, 0.0), at(1.0, 1.0));
        let _ = writeln!(html, "<path class=\"even\" d=\"M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}\"/>");
    }
    let mut ends: Vec<f64> = Vec::new();
    for (curve, (class, name)) in chart.curves.iter().zip([("a", &names[0]), ("b", &names[1])]) {
        let mut line = String::new();
        for (index, (x, y)) in curve.iter().enumerate() {
            let (x, y) = at(*x, *y);
            let _ = write!(line, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" });
        }
        let (end_x, end_y) = curve.last().map_or((left, top), |(x, y)| at(*x, *y));
        let _ = writeln!(html, "<path class=\"curve {class}\" d=\"{line}\"><title>{name}</title></path>");
        let _ = writeln!(html, "<circle class=\"end {class}\" cx=\"{end_x:.1}\" cy=\"{end_y:.1}\" r=\"4\"/>");
        ends.push(end_y);
    }
    // The names stand at the right edge, at the height of where their curves end, apart from each other.
    let mut labels = [ends[0], ends[1]];
    if (labels[0] - labels[1]).abs() < 15.0 {
        let (middle, first_above) = ((labels[0] + labels[1]) / 2.0, labels[0] <= labels[1]);
        let middle = middle.clamp(top + 4.0, top + FIELD.1 - 8.0);
        labels = if first_above { [middle - 8.0, middle + 8.0] } else { [middle + 8.0, middle - 8.0] };
    }
    for (label, class) in labels.into_iter().zip(["a", "b"]) {
        let text = if class == "a" { &names[0] } else { &names[1] };
        let short: String = text.chars().take(13).collect();
        let _ = writeln!(
            html,
            "<text class=\"label {class}\" x=\"{:.1}\" y=\"{:.1}\">{short}</text>",
            left + FIELD.0 + 8.0,
            label + 4.0
        );
    }
    html.push_str("</svg>\n</figure>\n");
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#fcfcfb;--ink:#1b1b1a;--soft:#5c5b57;--line:#e4e3df;--a:#1c69c4;--b:#b8500f}
@media (prefers-color-scheme:dark){
:root{--paper:#191918;--ink:#f0efec;--soft:#a5a49f;--line:#343432;--a:#6fb0f5;--b:#f09a5f}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
main{max-width:1120px;margin:0 auto;padding:36px 24px 60px}
h1{font-size:30px;line-height:1.2;margin:0 0 8px;font-weight:650}
.a{color:var(--a)}.b{color:var(--b)}
.about{color:var(--soft);margin:0;max-width:74ch}
code{font-size:12.5px;word-break:break-word}
.heroes{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:24px;margin:32px 0 12px}
.heroes div{border-top:2px solid var(--line);padding-top:12px}
.hero{margin:0;font-size:14px}
.hero b{display:inline-block;min-width:92px;font-size:23px;font-weight:620;font-variant-numeric:tabular-nums}
.heroes .about{margin-top:6px;font-size:13.5px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));gap:36px 32px;margin:36px 0}
figure{margin:0}figcaption{font-size:13.5px;color:var(--soft);min-height:62px}
figcaption b{display:block;font-size:16px;color:var(--ink)}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:11.5px;fill:var(--soft)}
svg .x,svg .name{text-anchor:middle}svg .y{text-anchor:end;font-variant-numeric:tabular-nums}
svg .label{font-size:12.5px;font-weight:600}svg .label.a{fill:var(--a)}svg .label.b{fill:var(--b)}
.grid{stroke:var(--line);fill:none}.even{stroke:var(--soft);stroke-dasharray:2 4;fill:none}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}.curve.a{stroke:var(--a)}.curve.b{stroke:var(--b)}
.end{stroke:var(--paper);stroke-width:2}.end.a{fill:var(--a)}.end.b{fill:var(--b)}
table{border-collapse:collapse;width:100%;font-size:14px;margin-top:12px}
th{text-align:left;font-weight:500}thead th{font-weight:650;text-align:right}tbody th{color:var(--soft);white-space:nowrap}
td{text-align:right;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_begin_at_nothing_and_end_at_all() {
        let curve = cumulative(&[1_i64, 2, 3, 4], 0.8);
        assert_eq!((curve.first(), curve.last()), (Some(&(0.0, 0.0)), Some(&(4.0, 0.8))));
        let curve = lorenz([0.0, 0.0, 6.0].into_iter());
        assert_eq!(curve.last(), Some(&(1.0, 1.0)));
        assert!(curve.iter().all(|(x, y)| y <= x), "below the line of equals: {curve:?}");
        assert_eq!(lorenz(std::iter::empty()), [(0.0, 0.0)]);
    }

    #[test]
    fn ticks_are_round_and_few() {
        for to in [0.7, 1.0, 9.0, 24.0, 31.0, 480.0] {
            let ticks = round_ticks(to, "");
            assert!((3..=9).contains(&ticks.len()), "{to}: {ticks:?}");
            assert!(ticks.iter().all(|(value, _)| *value <= to + 1e-9));
        }
    }
}
