//! Fields that hold one value.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::labels;
use crate::limits::{Limit, Size};
use crate::name::NameError;
use crate::path::AbsPath;
use crate::problem::{Gather, Problem};
use crate::spec::read::expected;
use crate::spec::{Caller, Scalar, User};
use crate::text;

pub(super) fn image(gather: &mut Gather, image: Option<String>) -> Option<String> {
    let Some(image) = image else {
        // One that could not be read has been told already.
        if !gather.names("image") {
            let missing = Problem::new("image", "is missing");
            gather.add(missing.hint("name an image, such as debian:trixie"));
        }
        return None;
    };
    if image.is_empty()
        || image.starts_with('-')
        || image.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        gather.add(
            Problem::new("image", format!("`{image}` is not an image's name"))
                .hint("name an image, such as debian:trixie"),
        );
        return None;
    }
    Some(image)
}

pub(super) fn name<T: FromStr<Err = NameError> + Default>(
    gather: &mut Gather,
    field: &str,
    text: Option<String>,
) -> Option<T> {
    text.map_or_else(
        || Some(T::default()),
        |text| {
            gather.take(text.parse().map_err(|error| {
                Problem::new(field, format!("{error}"))
                    .hint("write a name of 1 to 255 bytes, or leave it out for `default`")
            }))
        },
    )
}

pub(super) fn cwd(gather: &mut Gather, text: Option<&str>) -> AbsPath {
    let text = match text {
        None => "/workspace".to_owned(),
        Some("~") => "/root".to_owned(),
        Some(text) => match text.strip_prefix("~/") {
            Some(rest) => format!("/root/{rest}"),
            None => text.to_owned(),
        },
    };
    let path = AbsPath::new(&text);
    gather
        .take(path.map_err(|error| {
            Problem::new("cwd", format!("{error}"))
                .hint("it is a directory of the container, such as /workspace")
        }))
        .unwrap_or_else(|| AbsPath::new("/").unwrap_or_else(|_| unreachable!("`/` is a path")))
}

pub(super) fn limit<T: FromStr + PartialEq>(
    gather: &mut Gather,
    field: &str,
    written: Option<&Scalar>,
) -> Limit<T> {
    let Some(written) = written else {
        return Limit::Default;
    };
    let text = written.text();
    if text == "unlimited" {
        return Limit::Unlimited;
    }
    match text.parse::<T>() {
        Ok(value) if !text.bytes().all(|b| b == b'0') => Limit::Set(value),
        _ => {
            let problem = Problem::new(field, format!("`{text}` is not a limit"));
            gather.add(problem.hint(expected(field)));
            Limit::Default
        }
    }
}

pub(super) fn size(
    gather: &mut Gather,
    field: &str,
    written: Option<&Scalar>,
    least: Size,
) -> Limit<Size> {
    let limit = limit::<Size>(gather, field, written);
    if let Limit::Set(size) = limit
        && size < least
    {
        let shown = written.map(Scalar::text).unwrap_or_default();
        let hint = if shown.bytes().all(|b| b.is_ascii_digit()) {
            format!("a number alone is bytes; write `{shown}m` for MiB")
        } else {
            format!("write at least `{least}`, or `unlimited`")
        };
        gather
            .add(Problem::new(field, format!("{size} is less than the least, {least}")).hint(hint));
    }
    limit
}

pub(super) fn word<T: FromStr + Default>(gather: &mut Gather, field: &str, text: Option<&str>) -> T
where
    T::Err: std::fmt::Display,
{
    text.map_or_else(T::default, |text| {
        gather
            .take(text.parse().map_err(|error| {
                Problem::new(field, format!("{error}"))
                    .hint("write `none`, `isolated`, or `named:NAME` for a network of the engine's")
            }))
            .unwrap_or_default()
    })
}

pub(super) fn choice<T: Copy + Default>(
    gather: &mut Gather,
    field: &str,
    text: Option<&str>,
    choices: &[(&str, T)],
) -> T {
    let Some(text) = text else {
        return T::default();
    };
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return *value;
    }
    let words: Vec<String> = choices
        .iter()
        .map(|(word, _)| format!("`{word}`"))
        .collect();
    gather.add(
        Problem::new(field, format!("`{text}` is not a choice"))
            .hint(format!("write one of {}", words.join(", "))),
    );
    T::default()
}

pub(super) fn user(gather: &mut Gather, written: Option<&Scalar>, caller: &Caller) -> User {
    let text = written.map_or_else(|| "image".into(), Scalar::text);
    if text == "image" {
        return User::Image;
    }
    if text == "host" {
        let Some(uid) = caller.uid else {
            gather.add(
                Problem::new("user", "the caller has no user id on this platform")
                    .hint("write UID:GID"),
            );
            return User::Image;
        };
        return User::Ids {
            uid,
            gid: caller.gid,
        };
    }
    let (uid, gid) = text
        .split_once(':')
        .map_or((text.as_str(), None), |(u, g)| (u, Some(g)));
    // The greatest value means "no change" to the kernel.
    let id = |text: &str| text.parse::<u32>().ok().filter(|&id| id != u32::MAX);
    match (id(uid), gid.map(id)) {
        (Some(uid), None) => User::Ids { uid, gid: None },
        (Some(uid), Some(Some(gid))) => User::Ids {
            uid,
            gid: Some(gid),
        },
        _ => {
            gather.add(
                Problem::new("user", format!("`{text}` is not a user"))
                    .hint("write `image`, `host`, or numbers: UID or UID:GID"),
            );
            User::Image
        }
    }
}

/// Those of ours say what a sandbox is, and are not for others to set.
pub(super) fn labels(gather: &mut Gather, written: &BTreeMap<String, String>) {
    for (key, value) in written {
        let field = format!("labels.{}", text::line(key.as_bytes()));
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            gather.add(
                Problem::new(&field, "is not a label")
                    .hint("give it a name without an equals sign, and neither a NUL character"),
            );
        } else if key.starts_with(labels::OURS) {
            gather.add(
                Problem::new(&field, "is a label of Talaria's own").hint("choose another name"),
            );
        }
    }
}

pub(super) fn runtime(gather: &mut Gather, runtime: Option<String>) -> Option<String> {
    let runtime = runtime?;
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
    if runtime.is_empty() || runtime.starts_with('-') || !runtime.bytes().all(known) {
        gather.add(
            Problem::new("runtime", format!("`{runtime}` is not a runtime's name"))
                .hint("write a name that the engine knows, such as `runc` or `runsc`"),
        );
        return None;
    }
    Some(runtime)
}
