//! Whether a JPEG has its end: decoders forgive a file that was cut, a program should not.

use std::io::{BufRead, Result};

/// Start of scan: the picture's own data follows.
const SOS: u8 = 0xDA;
/// End of image.
const EOI: u8 = 0xD9;

/// Whether an end-of-image marker comes after the header. Markers of embedded thumbnails do not count:
/// they lie in segments of the header, which are skipped.
pub fn is_whole(file: &mut impl BufRead) -> Result<bool> {
    let mut marker = [0; 2];
    let Some(()) = read(file, &mut marker)? else { return Ok(false) };
    // ITU-T T.81, B.1.1: each segment is a marker and a length that counts itself.
    loop {
        let Some(()) = read(file, &mut marker)? else { return Ok(false) };
        while marker[1] == 0xFF {
            let Some(()) = read(file, &mut marker[1..])? else { return Ok(false) };
        }
        match marker[1] {
            SOS => break,
            EOI => return Ok(false),
            // Markers without a segment.
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let mut length = [0; 2];
        let Some(()) = read(file, &mut length)? else { return Ok(false) };
        let mut left = usize::from(u16::from_be_bytes(length)).saturating_sub(2);
        while left > 0 {
            let there = file.fill_buf()?.len().min(left);
            if there == 0 {
                return Ok(false);
            }
            file.consume(there);
            left -= there;
        }
    }
    // In the data, 0xFF is followed by 0 unless it begins a marker.
    loop {
        let (mut skipped, mut next) = (Vec::new(), [0]);
        file.read_until(0xFF, &mut skipped)?;
        let Some(()) = read(file, &mut next)? else { return Ok(false) };
        if next[0] == EOI {
            return Ok(true);
        }
    }
}

/// Fills `bytes`, or tells with `None` that the file has ended.
fn read(file: &mut impl BufRead, bytes: &mut [u8]) -> Result<Option<()>> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_after_the_data_counts() {
        let thumbnail = [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
        let scan = [0xFF, 0xDA, 0, 3, 0, 1, 2, 0xFF, 0, 3];
        let whole = [&[0xFF, 0xD8], &thumbnail[..], &scan, &[0xFF, 0xD9]].concat();
        assert!(is_whole(&mut &whole[..]).unwrap());
        for len in 0..whole.len() {
            assert!(!is_whole(&mut &whole[..len]).unwrap(), "cut at {len}");
        }
    }
}
