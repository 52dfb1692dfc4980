//! The way in which docker's command line takes options.

use std::ffi::OsString;

use super::Odd;

/// An option, by its long name and its letter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    /// Without its dashes.
    pub(super) name: &'static str,
    letter: Option<char>,
    takes_value: bool,
}

impl Flag {
    pub(super) const fn switch(name: &'static str) -> Self {
        Self {
            name,
            letter: None,
            takes_value: false,
        }
    }

    pub(super) const fn value(name: &'static str) -> Self {
        Self {
            takes_value: true,
            ..Self::switch(name)
        }
    }

    pub(super) const fn or(self, letter: char) -> Self {
        Self {
            letter: Some(letter),
            ..self
        }
    }
}

/// Whether options may come after the first word that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// They may.
    Any,
    /// What follows it belongs to another program.
    OptionsFirst,
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The options by their long names, in their order; a switch has no value.
    pub(super) options: Vec<(&'static str, String)>,
    /// The other words.
    pub(super) words: Vec<OsString>,
}

impl Line {
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| *option == name)
    }

    /// The value of an option; the last one counts.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        let mut values = self.options.iter().rev();
        let found = values.find(|(option, _)| *option == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The one word, where there is exactly one and it is text.
    pub(super) fn only_word(&self) -> Option<&str> {
        match &self.words[..] {
            [one] => one.to_str(),
            _ => None,
        }
    }
}

/// Takes a command's words apart.
pub(super) fn read(words: &[OsString], known: &[Flag], order: Order) -> Result<Line, Odd> {
    let mut line = Line::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let text = word.to_str();
        let Some(option) = text.filter(|text| text.len() > 1 && text.starts_with('-')) else {
            line.words.push(word.clone());
            if order == Order::OptionsFirst {
                break;
            }
            continue;
        };
        if option == "--" {
            break;
        }
        let mut value = || match rest.next().map(|value| value.to_str()) {
            Some(Some(value)) => Ok(value.to_owned()),
            Some(None) => Err(Odd::NotText),
            None => Err(Odd::NoValue(option.to_owned())),
        };
        if let Some(long) = option.strip_prefix("--") {
            let (name, given) = match long.split_once('=') {
                Some((name, given)) => (name, Some(given.to_owned())),
                None => (long, None),
            };
            let flag = known.iter().find(|flag| flag.name == name);
            let flag = flag.ok_or_else(|| Odd::Option(format!("--{name}")))?;
            let said = match (flag.takes_value, given) {
                (true, Some(given)) => given,
                (true, None) => value()?,
                (false, None) => String::new(),
                // `--init=false` would be the opposite.
                (false, Some(_)) => return Err(Odd::Option(option.to_owned())),
            };
            line.options.push((flag.name, said));
            continue;
        }
        // Letters share a dash, and the last one may be followed by its value.
        let mut letters = option[1..].chars();
        while let Some(letter) = letters.next() {
            let flag = known.iter().find(|flag| flag.letter == Some(letter));
            let flag = flag.ok_or_else(|| Odd::Option(format!("-{letter}")))?;
            if !flag.takes_value {
                line.options.push((flag.name, String::new()));
                continue;
            }
            let attached = letters.as_str();
            let said = match attached.strip_prefix('=').unwrap_or(attached) {
                "" => value()?,
                given => given.to_owned(),
            };
            line.options.push((flag.name, said));
            break;
        }
    }
    line.words.extend(rest.cloned());
    Ok(line)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KNOWN: [Flag; 4] = [
        Flag::switch("interactive").or('i'),
        Flag::switch("init"),
        Flag::value("env").or('e'),
        Flag::value("name"),
    ];

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[rstest]
    #[case::apart("-i --env A=b x", "interactive= env=A=b", "x")]
    #[case::joined("--env=A=b x", "env=A=b", "x")]
    #[case::letters("-ieA=b x", "interactive= env=A=b", "x")]
    #[case::letter_and_value("-e A=b x", "env=A=b", "x")]
    #[case::letter_with_equals("-e=A x", "env=A", "x")]
    #[case::a_value_like_an_option("--name -x y", "name=-x", "y")]
    #[case::another_programs("x -i --env A", "", "x -i --env A")]
    #[case::after_dashes("-i -- -x y", "interactive=", "-x y")]
    #[case::a_dash_is_a_word("- -i", "", "- -i")]
    fn options_are_taken_as_docker_takes_them(
        #[case] said: &str,
        #[case] options: &str,
        #[case] others: &str,
    ) {
        let line = read(&words(said), &KNOWN, Order::OptionsFirst).unwrap();
        let told = line
            .options
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        assert_eq!(told.collect::<Vec<_>>().join(" "), options);
        assert_eq!(line.words, words(others));
    }

    #[test]
    fn options_may_follow_where_nothing_else_does() {
        let line = read(&words("x --name y z"), &KNOWN, Order::Any).unwrap();
        assert_eq!(line.last("name"), Some("y"));
        assert_eq!(line.words, words("x z"));
    }

    #[rstest]
    #[case("--privileged x", Odd::Option("--privileged".to_owned()))]
    #[case("--privileged=true x", Odd::Option("--privileged".to_owned()))]
    #[case("-it x", Odd::Option("-t".to_owned()))]
    #[case("--init=false x", Odd::Option("--init=false".to_owned()))]
    #[case("-i --name", Odd::NoValue("--name".to_owned()))]
    #[case("-e", Odd::NoValue("-e".to_owned()))]
    fn what_is_not_understood_is_named(#[case] said: &str, #[case] odd: Odd) {
        let read = read(&words(said), &KNOWN, Order::OptionsFirst);
        assert_eq!(read.unwrap_err(), odd);
    }
}
