//! Meters that nobody asks for cost no memory: what was measured is put into its buckets once a second, whether or not
//! anybody reads them. In a process of its own, because it looks at the memory of all of it.

use std::time::Duration;

/// Resident memory, bytes.
fn memory() -> usize {
    let page = std::fs::read_to_string("/proc/self/statm").expect("on Linux");
    page.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4_096
}

#[test]
fn meters_that_nobody_asks_for_do_not_grow() {
    let meters = kiez::metrics::install().expect("the first");
    let second = || {
        for _ in 0..20_000 {
            kiez::metrics::handled(Duration::from_micros(50));
        }
    };
    for _ in 0..5 {
        second();
        meters.run_upkeep();
    }
    let before = memory();
    for _ in 0..100 {
        second();
        meters.run_upkeep();
    }
    let kept = memory().saturating_sub(before);
    // Without upkeep two million values stay, eight bytes each.
    for _ in 0..100 {
        second();
    }
    let left = memory().saturating_sub(before);
    println!("2,000,000 values: {kept} bytes with upkeep, {left} without");
    assert!(kept < 2_000_000 && left > 10_000_000, "{kept} with upkeep, {left} without");
    let page = meters.render();
    assert!(page.contains("kiez_handle_seconds_count 4100000"), "every value has been counted: {page}");
}
