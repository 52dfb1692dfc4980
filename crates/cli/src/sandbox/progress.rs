//! What whoever waits is shown.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use sandbox_core::text;
use sandbox_engine::Progress;

/// Says after a second what is being waited for.
pub(super) async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let mut wait = std::pin::pin!(wait);
    tokio::select! {
        biased;
        done = &mut wait => done,
        () = tokio::time::sleep(Duration::from_secs(1)) => {
            if io::stderr().is_terminal() {
                anstream::eprintln!("talaria: {what}…");
            }
            wait.await
        }
    }
}

/// The steps of a pull: each layer's status once, where somebody looks on.
#[derive(Default)]
pub(super) struct Steps {
    last: HashMap<Option<String>, String>,
}

impl Steps {
    pub(super) fn show(&mut self, step: &Progress) {
        if !io::stderr().is_terminal() {
            return;
        }
        let percent = step
            .bytes
            .filter(|(_, all)| *all > 0)
            .map(|(done, all)| done * 10 / all * 10);
        let percent = percent.map_or_else(String::new, |percent| format!(" {percent} %"));
        let line = format!("{}{percent}", step.status);
        if self.last.get(&step.layer) == Some(&line) {
            return;
        }
        let layer = step.layer.as_deref().unwrap_or("image");
        anstream::eprintln!(
            "talaria: {}: {}",
            text::line(layer.as_bytes()),
            text::line(line.as_bytes())
        );
        self.last.insert(step.layer.clone(), line);
    }
}
