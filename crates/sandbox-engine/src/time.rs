//! Times as an engine writes them.

/// Seconds since 1970 of an RFC 3339 time, fractions left out; nothing for what is none.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (next(&mut date)?, next(&mut date)?, next(&mut date)?);
    let (clock, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => return None,
    };
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let mut clock = clock.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (next(&mut clock)?, next(&mut clock)?, next(&mut clock)?);
    let offset = match offset.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign, rest) => {
            let (hours, minutes) = rest.split_once(':')?;
            let size = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if sign == "-" { -size } else { size }
        }
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days of the civil calendar, the year beginning in March.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1
        - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

fn next<E>(numbers: &mut impl Iterator<Item = Result<i64, E>>) -> Option<i64> {
    numbers.next()?.ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::seconds;

    // Expected values come from `date -d TEXT +%s`.
    #[rstest]
    #[case("1970-01-01T00:00:00Z", Some(0))]
    #[case("2026-11-20T22:14:07.123456789Z", Some(1_795_212_847))]
    #[case("2024-02-29T12:00:00+02:00", Some(1_709_200_800))]
    #[case("0001-01-01T00:00:00Z", Some(-62_135_596_800))]
    #[case("yesterday", None)]
    #[case("", None)]
    fn a_time_is_seconds(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(seconds(text), expected);
    }
}
