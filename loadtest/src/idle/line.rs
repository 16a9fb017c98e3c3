//! The line of least squares.

/// A line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    pub slope: f64,
    pub intercept: f64,
}

impl Line {
    pub fn at(self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// The line of least squares through at least two points with different x.
pub fn line(points: impl Iterator<Item = (f64, f64)> + Clone) -> Line {
    let count = points.clone().count() as f64;
    let (sum_x, sum_y) = points.clone().fold((0.0, 0.0), |(sum_x, sum_y), (x, y)| (sum_x + x, sum_y + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let of = points
        .fold((0.0, 0.0), |(xy, xx), (x, y)| (xy + (x - mean_x) * (y - mean_y), xx + (x - mean_x) * (x - mean_x)));
    let slope = of.0 / of.1;
    Line { slope, intercept: mean_y - slope * mean_x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_points_that_lie_on_one_and_between_those_that_do_not() {
        let on = [2_000.0, 6_000.0, 10_000.0, 18_000.0].map(|x| (x, 5e6 + 2_600.0 * x));
        let line_on = line(on.into_iter());
        assert!((line_on.slope - 2_600.0).abs() < 1e-6 && (line_on.intercept - 5e6).abs() < 1e-2, "{line_on:?}");
        let beside = line([(0.0, 0.0), (1.0, 2.0), (2.0, 1.0), (3.0, 3.0)].into_iter());
        assert!((beside.slope - 0.8).abs() < 1e-9 && (beside.at(1.5) - 1.5).abs() < 1e-9, "{beside:?}");
    }
}
