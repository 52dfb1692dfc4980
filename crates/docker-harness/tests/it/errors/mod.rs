//! What a new user is likely to do wrong, or to find in the way, and what they are told: the whole
//! of it, as tables.

mod boot;
mod container;
mod host;
mod xtask;

use std::fmt::Write as _;
use std::process::Output;

/// What was typed and what was said for it, one after the other.
#[derive(Default)]
struct Table {
    text: String,
    /// What differs from run to run, and what stands for it.
    redacted: Vec<(String, &'static str)>,
}

impl Table {
    fn redact(&mut self, found: impl Into<String>, shown: &'static str) {
        self.redacted.push((found.into(), shown));
    }

    /// A row: a title, what was typed, and what came of it.
    fn row(&mut self, title: &str, typed: &str, out: &str, err: &str, code: i64) {
        let mut said = format!("# {title}\n$ {typed}\n{out}{err}");
        if !said.ends_with('\n') {
            said.push('\n');
        }
        for (found, shown) in &self.redacted {
            said = said.replace(found, shown);
        }
        let said = without_sandbox_names(&said);
        // Writing to a string does not fail.
        writeln!(self.text, "{said}[{code}]\n").ok();
    }

    fn output(&mut self, title: &str, typed: &str, output: &Output) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().map_or(-1, i64::from);
        self.row(
            title,
            typed,
            &text(&output.stdout),
            &text(&output.stderr),
            code,
        );
    }
}

/// `talaria-` and 24 digits is the name of a sandbox.
fn without_sandbox_names(text: &str) -> String {
    let mut parts = text.split("talaria-");
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let rest = if digits == 24 { &part[24..] } else { part };
        done.push_str(if digits == 24 {
            "talaria-SANDBOX"
        } else {
            "talaria-"
        });
        done.push_str(rest);
    }
    done
}
