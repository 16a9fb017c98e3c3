//! A picture as it may be kept: a JPEG, PNG or WebP by what its bytes say, of a size that a browser can bear, and without what
//! a camera writes beside it. A photo taken at home carries the place in its metadata, and may carry the uncropped picture in
//! small; so only the parts are kept that a picture is drawn from. Nothing is decoded: a walk over the parts is all it takes.

/// What a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// ITU T.81 in JFIF.
    Jpeg,
    /// ISO 15948.
    Png,
    /// RFC 9649; a still picture.
    Webp,
}

impl Media {
    /// As HTTP calls it.
    pub fn word(self) -> &'static str {
        match self {
            Media::Jpeg => "image/jpeg",
            Media::Png => "image/png",
            Media::Webp => "image/webp",
        }
    }
}

/// A picture that may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What it is.
    pub media: Media,
    /// How wide, pixels.
    pub width: u32,
    /// How high, pixels.
    pub height: u32,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Why a file is no picture that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is none of the three.
    Kind,
    /// It begins like one, and is not whole, or moves.
    Broken,
    /// It has no extent, or too much.
    Extent,
}

/// The picture in a file, of at most so many pixels a side.
///
/// # Errors
/// [`Unfit`].
pub fn taken(file: &[u8], side_max: u32) -> Result<Picture, Unfit> {
    let (media, parts) = match file {
        [0xFF, 0xD8, 0xFF, ..] => (Media::Jpeg, jpeg(file)),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => (Media::Png, png(file)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => (Media::Webp, webp(file)),
        _ => return Err(Unfit::Kind),
    };
    let Parts { bytes, width, height } = parts.ok_or(Unfit::Broken)?;
    let fits = |side: u32| (1..=side_max).contains(&side);
    if !(fits(width) && fits(height)) {
        return Err(Unfit::Extent);
    }
    Ok(Picture { media, width, height, bytes })
}

#[derive(Default)]
struct Parts {
    bytes: Vec<u8>,
    width: u32,
    height: u32,
}

impl Parts {
    /// Of several extents the largest counts: a viewer may go by any.
    fn extends(&mut self, width: u32, height: u32) {
        (self.width, self.height) = (self.width.max(width), self.height.max(height));
    }
}

fn number(bytes: &[u8], at: usize, len: usize) -> Option<u32> {
    Some(bytes.get(at..at + len)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

fn number_from_the_end(bytes: &[u8], at: usize, len: usize) -> Option<u32> {
    Some(bytes.get(at..at + len)?.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Segments up to the end of the picture; what is written behind it is not kept.
fn jpeg(file: &[u8]) -> Option<Parts> {
    let mut parts = Parts { bytes: vec![0xFF, 0xD8], ..Parts::default() };
    let (mut at, mut is_drawn) = (2, false);
    loop {
        if *file.get(at)? != 0xFF {
            return None;
        }
        while *file.get(at + 1)? == 0xFF {
            at += 1;
        }
        let marker = file[at + 1];
        at += 2;
        match marker {
            // The end of the picture.
            0xD9 => {
                parts.bytes.extend([0xFF, 0xD9]);
                return is_drawn.then_some(parts);
            }
            // Another beginning, and a byte of a picture where none is.
            0x00 | 0xD8 => return None,
            // A segment without a length.
            0x01 | 0xD0..=0xD7 => parts.bytes.extend([0xFF, marker]),
            _ => {
                let len = usize::try_from(number(file, at, 2)?).ok().filter(|len| *len >= 2)?;
                let segment = file.get(at..at + len)?;
                at += len;
                match marker {
                    // A frame: its lines and its columns. A height of 0 comes later, and is not waited for.
                    0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                        parts.extends(number(segment, 5, 2)?, number(segment, 3, 2)?);
                        if number(segment, 3, 2)? == 0 {
                            return None;
                        }
                    }
                    // JFIF, without the small picture that it may carry.
                    0xE0 => {
                        if segment.get(2..7) == Some(b"JFIF\0") && len >= 16 {
                            parts.bytes.extend([0xFF, 0xE0, 0, 16]);
                            parts.bytes.extend_from_slice(&segment[2..14]);
                            parts.bytes.extend([0, 0]);
                        }
                        continue;
                    }
                    // How its colours are meant.
                    0xE2 if segment.get(2..14) == Some(b"ICC_PROFILE\0") => {}
                    0xEE if segment.get(2..7) == Some(b"Adobe") => {}
                    // Everything else an application says (Exif, XMP, IPTC), and comments.
                    0xE1..=0xEF | 0xFE => continue,
                    _ => {}
                }
                parts.bytes.extend([0xFF, marker]);
                parts.bytes.extend_from_slice(segment);
                if marker == 0xDA {
                    let begin = at;
                    // The picture's own bytes, up to a marker that is not one of its own.
                    while !matches!((file.get(at)?, file.get(at + 1)?), (0xFF, next) if !matches!(next, 0x00 | 0xD0..=0xD7))
                    {
                        at += 1;
                    }
                    parts.bytes.extend_from_slice(&file[begin..at]);
                    is_drawn = true;
                }
            }
        }
    }
}

/// Chunks up to the end of the picture.
fn png(file: &[u8]) -> Option<Parts> {
    const KEPT: [&[u8]; 11] =
        [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs"];
    let mut parts = Parts { bytes: file[..8].to_vec(), ..Parts::default() };
    let (mut at, mut is_drawn) = (8, false);
    loop {
        let len = usize::try_from(number(file, at, 4)?).ok()?;
        // Length, name, what is in it, checksum.
        let chunk = file.get(at..at.checked_add(len)?.checked_add(12)?)?;
        let name = &chunk[4..8];
        if (at == 8) != (name == b"IHDR") {
            return None;
        }
        if name == b"IHDR" {
            parts.extends(number(chunk, 8, 4)?, number(chunk, 12, 4)?);
        }
        is_drawn |= name == b"IDAT";
        if KEPT.contains(&name) {
            parts.bytes.extend_from_slice(chunk);
        }
        if name == b"IEND" {
            return is_drawn.then_some(parts);
        }
        at += chunk.len();
    }
}

/// The chunks of a RIFF.
fn webp(file: &[u8]) -> Option<Parts> {
    let end = usize::try_from(number_from_the_end(file, 4, 4)?).ok()?.checked_add(8)?;
    let file = file.get(..end)?;
    let mut parts = Parts { bytes: file[..12].to_vec(), ..Parts::default() };
    let (mut at, mut drawn) = (12, 0);
    while at < file.len() {
        let len = usize::try_from(number_from_the_end(file, at + 4, 4)?).ok()?;
        // Name, length, what is in it, and a byte to make it even.
        let chunk = file.get(at..at.checked_add(len.checked_add(len % 2)?)?.checked_add(8)?)?;
        at += chunk.len();
        match &chunk[..4] {
            b"VP8X" => {
                // Of what it says is in the file: nothing that moves, and no more Exif and XMP.
                let said = *chunk.get(8)?;
                if said & 0x02 != 0 {
                    return None;
                }
                parts.extends(number_from_the_end(chunk, 12, 3)? + 1, number_from_the_end(chunk, 15, 3)? + 1);
                parts.bytes.extend_from_slice(&chunk[..8]);
                parts.bytes.push(said & !0x0C);
                parts.bytes.extend_from_slice(&chunk[9..]);
                continue;
            }
            b"VP8 " => {
                if chunk.get(11..14)? != [0x9D, 0x01, 0x2A] {
                    return None;
                }
                let side = |at| number_from_the_end(chunk, at, 2).map(|side| side & 0x3FFF);
                parts.extends(side(14)?, side(16)?);
                drawn += 1;
            }
            b"VP8L" => {
                let bits = number_from_the_end(chunk, 9, 4)?;
                if *chunk.get(8)? != 0x2F {
                    return None;
                }
                parts.extends((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1);
                drawn += 1;
            }
            b"ALPH" | b"ICCP" => {}
            _ => continue,
        }
        parts.bytes.extend_from_slice(chunk);
    }
    let len = u32::try_from(parts.bytes.len() - 8).ok()?;
    parts.bytes[4..8].copy_from_slice(&len.to_le_bytes());
    (drawn == 1).then_some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"52.4996 13.4180";

    fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len() + 2).expect("a short segment").to_be_bytes();
        [&[0xFF, marker], &len[..], body].concat()
    }

    fn a_jpeg(width: u16, height: u16) -> Vec<u8> {
        let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
        let frame = [&[8][..], &height, &width, &[1, 1, 0x11, 0]].concat();
        let thumbnail = [b"JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01".to_vec(), SECRET[..3].to_vec()].concat();
        [
            vec![0xFF, 0xD8],
            segment(0xE0, &thumbnail),
            segment(0xE1, &[b"Exif\0\0", SECRET].concat()),
            segment(0xFE, SECRET),
            segment(0xDB, &[0; 65]),
            segment(0xC2, &frame),
            segment(0xDA, &[1, 1, 0, 0, 63, 0]),
            b"drawn \xFF\x00 and \xFF\xD3 on".to_vec(),
            vec![0xFF],
            segment(0xDA, &[1, 1, 0, 0, 63, 0]),
            b"again".to_vec(),
            vec![0xFF, 0xD9],
            SECRET.to_vec(),
        ]
        .concat()
    }

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).expect("a short chunk").to_be_bytes();
        [&len[..], name, body, &[1, 2, 3, 4]].concat()
    }

    fn a_png(width: u32, height: u32) -> Vec<u8> {
        let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let chunks = [
            chunk(b"IHDR", &head),
            chunk(b"eXIf", SECRET),
            chunk(b"tEXt", SECRET),
            chunk(b"IDAT", b"drawn"),
            chunk(b"IEND", b""),
        ];
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat(), SECRET.to_vec()].concat()
    }

    fn of_riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let written = |(name, body): &(&[u8; 4], &[u8])| {
            let len = u32::try_from(body.len()).expect("a short chunk").to_le_bytes();
            let mut written = [&name[..], &len, body].concat();
            written.resize(written.len().next_multiple_of(2), 0);
            written
        };
        let body = [b"WEBP".to_vec(), chunks.iter().flat_map(written).collect()].concat();
        [b"RIFF", &u32::try_from(body.len()).expect("short").to_le_bytes()[..], &body].concat()
    }

    fn a_webp(flags: u8) -> Vec<u8> {
        let head = [flags, 0, 0, 0, 9, 0, 0, 19, 0, 0];
        let drawn = b"\0\0\0\x9D\x01\x2A\x0A\0\x14\0on";
        let chunks: [(&[u8; 4], &[u8]); 4] = [(b"VP8X", &head), (b"VP8 ", drawn), (b"EXIF", SECRET), (b"XMP ", SECRET)];
        [of_riff(&chunks), SECRET.to_vec()].concat()
    }

    #[test]
    fn a_picture_is_known_by_its_bytes_and_loses_what_a_camera_says() {
        for (file, media, width, height) in [
            (a_jpeg(640, 480), Media::Jpeg, 640, 480),
            (a_png(640, 480), Media::Png, 640, 480),
            (a_webp(0x0C), Media::Webp, 10, 20),
            (of_riff(&[(b"VP8L", &[0x2F, 0x09, 0xC0, 0x04, 0x00, 7])]), Media::Webp, 10, 20),
        ] {
            let picture = taken(&file, 2_048).expect("a picture");
            assert_eq!((picture.media, picture.width, picture.height), (media, width, height));
            let holds = |part: &[u8]| picture.bytes.windows(part.len()).any(|window| window == part);
            assert!(!holds(SECRET) && !holds(&SECRET[..3]), "{media:?} still says where it was taken");
            assert!(media == Media::Webp || holds(b"drawn"), "{media:?}");
            assert_eq!(taken(&picture.bytes, 2_048).as_ref(), Ok(&picture), "nothing more is lost");
        }
        let jpeg = taken(&a_jpeg(1, 1), 2_048).expect("a picture").bytes;
        assert!(jpeg.ends_with(b"again\xFF\xD9"));
        assert!(jpeg.windows(4).any(|four| four == b"JFIF"), "it is still one of JFIF");
    }

    #[test]
    fn what_is_none_is_refused() {
        let webp_of_two: [(&[u8; 4], &[u8]); 2] = [(b"VP8L", &[0x2F, 9, 0, 0, 0]), (b"VP8L", &[0x2F, 9, 0, 0, 0])];
        for (file, unfit) in [
            (b"".to_vec(), Unfit::Kind),
            (b"<svg onload=alert(1)>".to_vec(), Unfit::Kind),
            (b"GIF89a".to_vec(), Unfit::Kind),
            (b"RIFF\x04\0\0\0WAVE".to_vec(), Unfit::Kind),
            (b"\x89PNG\n\r\x1a\n".to_vec(), Unfit::Kind),
            (b"\xFF\xD8\xFF\xE0<html>".to_vec(), Unfit::Broken),
            (a_jpeg(1, 1)[..120].to_vec(), Unfit::Broken),
            (b"\xFF\xD8\xFF\xD9".to_vec(), Unfit::Broken),
            (a_png(1, 1)[..60].to_vec(), Unfit::Broken),
            ([b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IDAT", b"x"), chunk(b"IEND", b"")].concat(), Unfit::Broken),
            (a_webp(0x02), Unfit::Broken),
            (of_riff(&webp_of_two), Unfit::Broken),
            (of_riff(&[]), Unfit::Broken),
            (a_jpeg(2_049, 1), Unfit::Extent),
            (a_png(1, 2_049), Unfit::Extent),
            (a_png(0, 1), Unfit::Extent),
            (a_png(u32::MAX, u32::MAX), Unfit::Extent),
        ] {
            assert_eq!(taken(&file, 2_048), Err(unfit), "{:?}", String::from_utf8_lossy(&file));
        }
    }

    proptest! {
        /// Whatever is sent: no panic, nothing longer than it was, and what is kept is kept a second time.
        #[test]
        fn any_bytes_are_taken_or_refused(
            which in 0..3_usize,
            at in any::<prop::sample::Index>(),
            change in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut file = [a_jpeg(9, 9), a_png(9, 9), a_webp(0)][which].clone();
            let at = at.index(file.len());
            let end = (at + change.len()).min(file.len());
            file.splice(at..end, change);
            if let Ok(picture) = taken(&file, 2_048) {
                prop_assert!(picture.bytes.len() <= file.len());
                prop_assert_eq!(taken(&picture.bytes, 2_048), Ok(picture));
            }
        }
    }
}
