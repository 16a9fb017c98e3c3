//! Follows the frames of a WebSocket from outside, just closely enough to tell whether a message is partly here: so that
//! one which never ends does not keep its place for ever. tungstenite does not tell. Nothing is checked here; what is not
//! well formed is refused where it is read.

/// Where in a stream of frames the last byte stands. Small, because every socket has one.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Bytes of the payload that are still to come; while the head comes, its length as far as it is known.
    payload_left: u64,
    whole: u32,
    first: u8,
    second: u8,
    /// Bytes of the head that are here; none between two frames.
    head_len: u8,
    /// A message has begun, and its last frame has not.
    fragmented: bool,
}

impl Assembly {
    /// Takes in what has arrived.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let [byte, rest @ ..] = bytes {
            if self.head_len > 0 && self.head_len == self.head_bytes() {
                let part = usize::try_from(self.payload_left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.payload_left -= part as u64;
                bytes = &bytes[part..];
            } else {
                self.head(*byte);
                bytes = rest;
            }
            if self.head_len == self.head_bytes() && self.payload_left == 0 {
                self.frame_ends();
            }
        }
    }

    /// Whether a frame or a message of several frames has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.head_len > 0 || self.fragmented
    }

    /// Grows whenever what had begun has ended: the same number means the same message.
    pub fn whole(&self) -> u32 {
        self.whole
    }

    /// The next byte of a frame's head: kind, length, more of the length, mask.
    fn head(&mut self, byte: u8) {
        match self.head_len {
            0 => self.first = byte,
            1 => {
                self.second = byte;
                self.payload_left = if self.length_bytes() == 0 { u64::from(byte & 0x7f) } else { 0 };
            }
            at if at < 2 + self.length_bytes() => self.payload_left = self.payload_left << 8 | u64::from(byte),
            _ => {}
        }
        self.head_len += 1;
    }

    fn frame_ends(&mut self) {
        let (is_last, is_control) = (self.first & 0x80 != 0, self.first & 0x08 != 0);
        self.head_len = 0;
        // A control frame may stand between the frames of a message; it neither begins nor ends one.
        if !is_control {
            self.fragmented = !is_last;
        }
        if !self.fragmented {
            self.whole = self.whole.wrapping_add(1);
        }
    }

    /// How long the head will be, as far as it is known by now.
    fn head_bytes(&self) -> u8 {
        let mask = if self.second & 0x80 == 0 { 0 } else { 4 };
        if self.head_len < 2 { 2 } else { 2 + self.length_bytes() + mask }
    }

    fn length_bytes(&self) -> u8 {
        match self.second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Assembly;

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(0x80 | u8::try_from(short).expect("short")),
            long => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(long).expect("below 64 KiB").to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn a_message_is_open_from_its_first_byte_to_its_last() {
        for payload in [0, 1, 125, 126, 4_000] {
            let (mut assembly, bytes) = (Assembly::default(), frame(0x81, &vec![b'x'; payload]));
            for byte in &bytes[..bytes.len() - 1] {
                assembly.feed(&[*byte]);
                assert!(assembly.is_open(), "{payload}");
            }
            assembly.feed(&bytes[bytes.len() - 1..]);
            assert!(!assembly.is_open() && assembly.whole() == 1, "{payload}");
            let mut at_once = Assembly::default();
            at_once.feed(&[bytes.clone(), bytes.clone(), vec![0x81]].concat());
            assert!(at_once.is_open() && at_once.whole() == 2, "{payload}");
        }
    }

    #[test]
    fn fragments_belong_together_and_pings_between_them_end_nothing() {
        let mut assembly = Assembly::default();
        for part in [frame(0x01, b"a"), frame(0x89, b"ping"), frame(0x00, b""), frame(0x00, b"b")] {
            assembly.feed(&part);
            assert!(assembly.is_open());
        }
        assert_eq!(assembly.whole(), 0);
        assembly.feed(&frame(0x80, b"c"));
        assert!(!assembly.is_open() && assembly.whole() == 1);
        assembly.feed(&frame(0x89, b"ping"));
        assert!(!assembly.is_open() && assembly.whole() == 2);
    }

    #[test]
    fn absurd_lengths_are_waited_for_and_nothing_overflows() {
        let mut assembly = Assembly::default();
        assembly.feed(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
        assembly.feed(&[0; 100_000]);
        assert!(assembly.is_open());
    }
}
