//! Two policies beside each other, as one page.

use super::report::Report;

/// The page.
pub fn page(_first: &Report, _second: &Report, _names: [&str; 2]) -> String {
    String::new()
}
