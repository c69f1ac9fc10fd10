//! Where one request ends and the next begins in the bytes that a client sends.
//!
//! hyper parses requests; this only watches. It never gives hyper more than one head at once, so that the bytes behind
//! it, which hyper would keep to itself, are known to be the beginning of another request. A mistake here would move a
//! deadline, never change what a request says.

/// What the next byte belongs to.
#[derive(Debug)]
pub(super) enum Framing {
    /// The head of a request.
    Head(HeadScan),
    /// A head that has ended; hyper has not reported it yet.
    HeadEnded,
    /// A body with this many bytes to come.
    Sized(u64),
    /// A body in chunks; the last bytes seen.
    Chunked([u8; 4]),
}

/// Progress through a head.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// Something other than the line breaks that may stand before a request has been seen.
    begun: bool,
    /// The line so far is empty.
    at_line_start: bool,
}

impl HeadScan {
    /// Reads on, up to the end of the head; answers how many bytes of these belong to it, and whether it has ended.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.begun && self.at_line_start => return (at + 1, true),
                b'\n' => self.at_line_start = true,
                b'\r' => {}
                _ => (self.begun, self.at_line_start) = (true, false),
            }
        }
        (bytes.len(), false)
    }
}

impl Framing {
    pub(super) fn new() -> Self {
        Self::Head(HeadScan::default())
    }

    /// Reads on; answers how many of these bytes hyper may see now. The others belong to the next request.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> usize {
        if let Self::Sized(0) | Self::HeadEnded = self {
            *self = Self::new();
        }
        match self {
            Self::Head(scan) => {
                let (length, ended) = scan.advance(bytes);
                if ended {
                    *self = Self::HeadEnded;
                }
                length
            }
            Self::Sized(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                length
            }
            Self::Chunked(last) => {
                for byte in &bytes[bytes.len().saturating_sub(last.len())..] {
                    last.rotate_left(1);
                    last[3] = *byte;
                }
                bytes.len()
            }
            Self::HeadEnded => bytes.len(),
        }
    }

    /// hyper has read a head; behind it is a body of this size, or one in chunks.
    pub(super) fn head_arrived(&mut self, size: Option<u64>) {
        *self = size.map_or(Self::Chunked([0; 4]), Self::Sized);
    }

    /// hyper has read the body to its end. What is behind the last chunk was read with it.
    pub(super) fn body_arrived(&mut self) {
        *self = match self {
            Self::Chunked(last) if last != b"\r\n\r\n" => Self::Head(HeadScan { begun: true, at_line_start: false }),
            Self::Chunked(_) | Self::Sized(0) => Self::new(),
            _ => return,
        };
    }

    /// Whether bytes of another request have arrived.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Head(scan) => scan.begun,
            Self::HeadEnded => true,
            Self::Sized(_) | Self::Chunked(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of these are handed on as the first head.
    fn head(bytes: &[u8]) -> usize {
        let mut framing = Framing::new();
        framing.advance(bytes)
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        for (head_part, rest) in [
            ("GET / HTTP/1.1\r\n\r\n", "GET"),
            ("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "body"),
            ("GET / HTTP/1.1\nhost: a\n\n", "\n"),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", "\r\n\r\n"),
        ] {
            assert_eq!(head(format!("{head_part}{rest}").as_bytes()), head_part.len(), "{head_part:?}");
            let mut framing = Framing::new();
            let in_pieces: usize = head_part.bytes().map(|byte| framing.advance(&[byte])).sum();
            assert!(in_pieces == head_part.len() && matches!(framing, Framing::HeadEnded), "{head_part:?}");
        }
    }

    #[test]
    fn only_a_request_begins_a_request() {
        let mut framing = Framing::new();
        framing.advance(b"\r\n\n\r");
        assert!(!framing.has_begun());
        framing.advance(b"G");
        assert!(framing.has_begun());
        framing.head_arrived(Some(3));
        assert_eq!(framing.advance(b"abcG"), 3);
        framing.body_arrived();
        assert!(!framing.has_begun());
        framing.advance(b"G");
        assert!(framing.has_begun());
    }

    #[test]
    fn bytes_behind_the_last_chunk_begin_a_request() {
        for (body, begun) in [("0\r\n\r\n", false), ("5\r\nab\r\n0\r\n\r\nP", true), ("0\r\na: b\r\n\r\n", false)] {
            for step in 1..=body.len() {
                let mut framing = Framing::new();
                framing.head_arrived(None);
                body.as_bytes().chunks(step).for_each(|piece| assert_eq!(framing.advance(piece), piece.len()));
                framing.body_arrived();
                assert_eq!(framing.has_begun(), begun, "{body:?}");
            }
        }
    }
}
