//! Digests over fields that cannot run into one another.

use sha2::{Digest as _, Sha256};

/// SHA-256 over fields, each preceded by its length, so that `("a", "bc")` and `("ab", "c")` differ.
pub(crate) struct FieldHasher(Sha256);

impl FieldHasher {
    /// Begins with the name of what is hashed, so that digests of different things never meet.
    pub(crate) fn new(domain: &str) -> Self {
        Self(Sha256::new()).field(domain.as_bytes())
    }

    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// 64 lower-case hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        to_hex(&self.0.finalize())
    }
}

/// HMAC-SHA-256 (RFC 2104), as 64 lower-case hexadecimal digits.
pub(crate) fn hmac_hex(key: &[u8], message: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize();
    to_hex(&outer)
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_one_another() {
        let one = FieldHasher::new("x").field(b"a").field(b"bc").hex();
        let other = FieldHasher::new("x").field(b"ab").field(b"c").hex();
        assert_ne!(one, other);
    }

    #[test]
    fn the_keyed_hash_is_that_of_rfc_4231() {
        assert_eq!(
            hmac_hex(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hmac_hex(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
