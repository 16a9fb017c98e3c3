//! How deep JSON is nested, before it is parsed. A parser spends stack and time on each level, and nothing on our wire
//! needs more than a few.

/// Whether the text has more than `most` levels of objects and arrays, one in the other. It need not be JSON: what is
/// not will be refused by the parser.
pub fn exceeds(text: &[u8], most: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::exceeds;

    #[test]
    fn levels_are_counted_outside_of_texts() {
        assert!(!exceeds(b"", 0));
        assert!(exceeds(b"[]", 0) && !exceeds(b"[]", 1));
        assert!(!exceeds(br#"[{"a":[]},{"b":[]},[[]]]"#, 3) && exceeds(br#"[{"a":[]},{"b":[]},[[[]]]]"#, 3));
        assert!(!exceeds(br#"{"a":"[[[[{{{{","b":"\"[[[[\\"}"#, 1));
        assert!(exceeds(br#"{"a":"\\","b":[]}"#, 1), "the text ends behind an escaped backslash");
        assert!(exceeds("[".repeat(10_000).as_bytes(), 16));
        assert!(!exceeds(b"]]]]}}}}[", 1), "closing what was never open gains nothing");
    }
}
