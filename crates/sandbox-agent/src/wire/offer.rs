//! What `connect --direct` says before any frame.

use std::fmt;

/// The size of a key, in bytes.
pub const KEY: usize = 16;

/// What a client that stays with the exec's stream answers.
pub const STAY: u8 = b's';

/// What one answers that has shown its key at the port, and been shown the agent's.
pub const COME: u8 = b'd';

/// A TCP port of the sandbox at which one client is waited for.
///
/// ```text
/// agent, on the exec's stream:  direct PORT CLIENTS-KEY AGENTS-KEY\n | direct none\n
/// client, to the port:          its key, 16 bytes
/// agent, from the port:         its key, 16 bytes
/// client, on the exec's stream: d | s
/// ```
///
/// Keys are 32 hexadecimal digits here. Frames follow, over the port after `d`, and over the exec's
/// stream after `s`.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// The port.
    pub port: u16,
    /// What the client shows.
    pub clients: [u8; KEY],
    /// What the agent shows.
    pub agents: [u8; KEY],
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Offer {
    /// The longest line, in bytes, with its end.
    pub const LONGEST: usize = "direct 65535 ".len() + 2 * (2 * KEY + 1);

    /// The line that says it, or that there is none.
    #[must_use]
    pub fn to_line(offer: Option<&Self>) -> String {
        let Some(offer) = offer else {
            return "direct none\n".to_owned();
        };
        let hex = |key: &[u8; KEY]| format!("{:032x}", u128::from_be_bytes(*key));
        let (clients, agents) = (hex(&offer.clients), hex(&offer.agents));
        format!("direct {} {clients} {agents}\n", offer.port)
    }

    /// What a line without its end offers: nothing where it is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("direct ")?.split(' ');
        let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
        let mut key = || {
            let digits = words.next().filter(|digits| digits.len() == 2 * KEY)?;
            // A sign is no digit, though Rust reads it.
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let key = u128::from_str_radix(digits, 16).ok()?;
            is_hex.then(|| key.to_be_bytes())
        };
        let (clients, agents) = (key()?, key()?);
        let offer = Self {
            port,
            clients,
            agents,
        };
        words.next().is_none().then_some(offer)
    }
}

/// Whether two keys are the same, in a time that does not tell where they differ.
#[must_use]
pub fn is_same_key(one: &[u8; KEY], other: &[u8; KEY]) -> bool {
    let differences = one.iter().zip(other).map(|(one, other)| one ^ other);
    differences.fold(0, |all, some| all | some) == 0
}
