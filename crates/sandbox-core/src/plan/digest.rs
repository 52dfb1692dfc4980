//! The digest of a plan, for a label that anybody on the engine can read.

use super::ContainerPlan;
use crate::env::EnvValue;
use crate::hash::{FieldHasher, hmac_hex};

impl ContainerPlan {
    /// The digest of the container that is to be: 64 hexadecimal digits.
    ///
    /// With the caller's [`DigestKey`](crate::DigestKey) it changes exactly when something changes
    /// that is given to the engine at creation, the values of secrets included, and tells nothing to
    /// whoever does not know the key. Without one, the values of secrets do not count, so that nobody
    /// can try values out against it; [drift](crate::drift::drift) still compares them one by one.
    ///
    /// The lease counts, since the agent is started with it, and the image's id, since it is what
    /// runs. Forwarded names, the drift policy and `unenforced` do not.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut plan = self.clone();
        plan.unenforced.clear();
        // Only keys that are strings, and no number that is not finite: this cannot fail.
        let json = serde_json::to_string(&plan)
            .unwrap_or_else(|error| unreachable!("a plan has a JSON form: {error}"));
        let mut hasher = FieldHasher::new("talaria container plan 1").field(json.as_bytes());
        let Some(key) = &self.digest_key else {
            return hasher.hex();
        };
        for (name, value) in &self.env {
            if let EnvValue::Secret(secret) = value {
                hasher = hasher
                    .field(name.as_str().as_bytes())
                    .field(secret.expose().as_bytes());
            }
        }
        hmac_hex(key.bytes(), hasher.hex().as_bytes())
    }
}
