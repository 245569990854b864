//! Lines of a recording, one at a time, unpacked on the way, within limits. A line that is too long is skipped and
//! reported; damage and overflow end the input with a report. Memory: one line.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::{
    connectors::config::Limits,
    event::{Code, Quarantined},
};

/// How much of a skipped line is kept for the report.
const SKIPPED_SHOWN_BYTES: usize = 200;

pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    limits: Limits,
    bytes_read: u64,
    line_number: u64,
    ended: bool,
}

impl Lines {
    /// `input` may be gzip (several members too) or plain.
    pub(crate) fn new(input: Box<dyn Read + Send>, limits: Limits) -> Self {
        let mut packed = BufReader::new(input);
        let gzip = packed.fill_buf().is_ok_and(|start| start.starts_with(&[0x1f, 0x8b]));
        let input: Box<dyn BufRead + Send> =
            if gzip { Box::new(BufReader::new(MultiGzDecoder::new(packed))) } else { Box::new(packed) };
        Self { input, limits, bytes_read: 0, line_number: 0, ended: false }
    }

    /// Raises the line limit to the limit of the whole body, for formats whose record is a snapshot.
    pub(crate) fn of_bodies(mut self) -> Self {
        self.limits.line_bytes_max = usize::try_from(self.limits.body_bytes_max).unwrap_or(usize::MAX);
        self
    }

    /// The number of the line given last, from 1.
    pub(crate) fn line_number(&self) -> u64 {
        self.line_number
    }

    fn end(&mut self, code: Code, detail: String) -> Option<Result<Vec<u8>, Quarantined>> {
        self.ended = true;
        Some(Err(Quarantined::new(code, detail, "")))
    }
}

impl Iterator for Lines {
    type Item = Result<Vec<u8>, Quarantined>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.line_number += 1;
        let (mut line, mut length) = (Vec::new(), 0_usize);
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) => {
                    let detail = format!("broke off after line {}: {}", self.line_number - 1, error.kind());
                    return self.end(Code::Unreadable, detail);
                }
            };
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let taken = newline.unwrap_or(chunk.len());
            let room = self.limits.line_bytes_max.saturating_sub(line.len());
            line.extend_from_slice(&chunk[..taken.min(room)]);
            length += taken;
            let (at_end, consumed) = (chunk.is_empty(), taken + usize::from(newline.is_some()));
            self.input.consume(consumed);
            self.bytes_read += consumed as u64;
            if self.bytes_read > self.limits.body_bytes_max {
                let detail = format!("longer than {} bytes; the rest was not read", self.limits.body_bytes_max);
                return self.end(Code::Overflow, detail);
            }
            if at_end && length == 0 {
                self.ended = true;
                return None;
            }
            if at_end || newline.is_some() {
                break;
            }
        }
        if length > self.limits.line_bytes_max {
            let start = String::from_utf8_lossy(&line[..line.len().min(SKIPPED_SHOWN_BYTES)]).into_owned();
            let detail = format!("line {} has {length} bytes; it was skipped", self.line_number);
            return Some(Err(Quarantined::new(Code::TooLong, detail, &start)));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(Ok(line))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn lines(bytes: Vec<u8>, line_bytes_max: usize, body_bytes_max: u64) -> Vec<Result<String, Code>> {
        Lines::new(Box::new(Cursor::new(bytes)), Limits { line_bytes_max, body_bytes_max })
            .map(|line| line.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|torn| torn.code))
            .collect()
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn packed_and_plain_give_the_same_lines() {
        let expected = vec![Ok("a".to_owned()), Ok(String::new()), Ok("b".to_owned())];
        assert_eq!(lines(b"a\r\n\nb".to_vec(), 10, 100), expected);
        assert_eq!(lines(packed(b"a\n\nb\n"), 10, 100), expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_rest_read() {
        assert_eq!(
            lines(b"12345\n123456\n1\n".to_vec(), 5, 100),
            [Ok("12345".to_owned()), Err(Code::TooLong), Ok("1".to_owned())]
        );
    }

    #[test]
    fn a_bomb_ends_at_the_cap() {
        let bomb = packed(&vec![b'x'; 10_000_000]);
        assert!(bomb.len() < 50_000);
        assert_eq!(lines(bomb, 1_000, 1_000_000), [Err(Code::Overflow)]);
    }

    #[test]
    fn a_torn_archive_says_so_after_what_it_held() {
        let mut torn = packed("line\n".repeat(20_000).as_bytes());
        torn.truncate(torn.len() - 20);
        let read = lines(torn, 100, 1_000_000);
        assert_eq!(read.last(), Some(&Err(Code::Unreadable)));
    }
}
