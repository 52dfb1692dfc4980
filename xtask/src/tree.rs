//! A process tree, drawn from what `ps` says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One line of `ps -eo pid=,ppid=,user=,args=`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    user: String,
    command: String,
}

fn parse(line: &str) -> Option<Process> {
    let mut words = line.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    let parent = words.next()?.parse().ok()?;
    let user = words.next()?.to_owned();
    Some(Process {
        pid,
        parent,
        user,
        command: words.collect::<Vec<_>>().join(" "),
    })
}

/// Draws the processes below PID 1; commands are cut to `width` characters.
pub(crate) fn draw(listing: &str, width: usize) -> String {
    let mut children: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
    for process in listing.lines().filter_map(parse) {
        // `ps` itself, and whatever else an exec started, hangs off nothing here.
        if process.pid == 1 || process.parent != 0 {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut text = String::new();
    draw_below(&children, 0, "", width, &mut text);
    text
}

fn draw_below(
    children: &BTreeMap<u32, Vec<Process>>,
    parent: u32,
    indent: &str,
    width: usize,
    text: &mut String,
) {
    let Some(processes) = children.get(&parent) else {
        return;
    };
    for (index, process) in processes.iter().enumerate() {
        let last = index + 1 == processes.len();
        let (branch, below) = match (parent, last) {
            (0, _) => ("", ""),
            (_, false) => ("├─ ", "│  "),
            (_, true) => ("└─ ", "   "),
        };
        let command: String = process.command.chars().take(width).collect();
        // Writing to a string cannot fail.
        writeln!(
            text,
            "{indent}{branch}{} {} {command}",
            process.pid, process.user
        )
        .unwrap_or_default();
        draw_below(
            children,
            process.pid,
            &format!("{indent}{below}"),
            width,
            text,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn_below_the_first_process() {
        let listing = "\
    1     0 root     s6-svscan /run/s6/services
   20     1 root     s6-supervise agent-tree
   21    20 hermes   s6-svscan /run/service
   40    21 hermes   s6-supervise gateway-coder
   22     1 root     init
   90     0 root     ps -eo pid=
";
        insta::assert_snapshot!(draw(listing, 60), @r"
        1 root s6-svscan /run/s6/services
        ├─ 20 root s6-supervise agent-tree
        │  └─ 21 hermes s6-svscan /run/service
        │     └─ 40 hermes s6-supervise gateway-coder
        └─ 22 root init
        ");
    }

    #[test]
    fn long_commands_are_cut_and_strange_lines_left_out() {
        assert_eq!(draw("1 0 root abcdef\nnonsense\n", 3), "1 root abc\n");
    }
}
