//! Finding a byte quickly, in safe code.

/// How many bytes are tested at a time; the compiler turns such a block into vector compares.
const BLOCK: usize = 32;

/// The position of the first byte that `wanted` accepts.
///
/// Streams and request bodies are mostly long runs of bytes of no interest, so whole blocks are
/// tested first and only the block with a hit is searched byte by byte.
pub(crate) fn position(bytes: &[u8], wanted: impl Fn(u8) -> bool + Copy) -> Option<usize> {
    let mut start = 0;
    for block in bytes.chunks(BLOCK) {
        if block.iter().fold(false, |found, &byte| found | wanted(byte)) {
            return block.iter().position(|&byte| wanted(byte)).map(|at| start + at);
        }
        start += block.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn finds_the_first_hit_at_every_place() {
        for length in 0..100 {
            for at in 0..length {
                let mut bytes = vec![b'.'; length];
                bytes[at..].fill(b'x');
                assert_eq!(position(&bytes, |byte| byte == b'x'), Some(at));
            }
            assert_eq!(position(&vec![b'.'; length], |byte| byte == b'x'), None);
        }
    }
}
