//! What the engine can enforce.

use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use tokio::time::timeout;

use crate::agent::LABEL;
use crate::connect::Engine;
use crate::error::Fault;
use crate::kill::new_mark;

/// How long the trial may take.
const WITHIN: Duration = Duration::from_secs(10);

impl Engine {
    /// Whether the size of a container's own file system can be limited: a container with such a
    /// limit is created from `image`, and removed.
    ///
    /// Nothing where the engine did not say: a trial that fails for another reason, or takes too
    /// long, is no "no", and the next call tries again.
    pub async fn disk_quota_works(&self, image: &str) -> Option<bool> {
        if let Some(known) = self.shared.quota.get() {
            return Some(*known);
        }
        let name = format!("talaria-probe-{}", &new_mark()[..24]);
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec!["/".to_owned()]),
            labels: Some([(LABEL.to_owned(), "probe".to_owned())].into()),
            host_config: Some(HostConfig {
                storage_opt: Some([("size".to_owned(), "1m".to_owned())].into()),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let named = CreateContainerOptionsBuilder::new().name(&name).build();
        let asked = timeout(WITHIN, self.docker.create_container(Some(named), body)).await;
        let forced = RemoveContainerOptionsBuilder::new().force(true).build();
        let removing = self.docker.remove_container(&name, Some(forced));
        // Where that does not work, `reap` finds the container by its label.
        timeout(WITHIN, removing).await.ok();
        let works = match asked.ok()?.map_err(Fault::from) {
            Ok(_) => true,
            Err(Fault::Refused { message, .. }) if is_about_quota(&message) => false,
            Err(_) => return None,
        };
        // Another call may have been quicker, with the same answer.
        self.shared.quota.set(works).ok();
        Some(works)
    }
}

/// Whether the engine refused because of the quota, and not for another reason.
fn is_about_quota(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let words = [
        "storage-opt",
        "storage opt",
        "pquota",
        "quota",
        "storage driver",
    ];
    words.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::is_about_quota;

    #[rstest]
    #[case(
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        true
    )]
    #[case("--storage-opt is not supported for fuse-overlayfs", true)]
    #[case("No such image: x", false)]
    #[case("context deadline exceeded", false)]
    fn a_refusal_for_another_reason_is_no_answer(#[case] message: &str, #[case] expected: bool) {
        assert_eq!(is_about_quota(message), expected);
    }
}
