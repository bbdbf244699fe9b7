//! Times for people, in UTC: the shop does not know where its visitors are.

use chrono::{DateTime, TimeDelta, Utc};

/// "21 Nov 2026, 04:14 UTC".
pub(crate) fn date_and_time(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}

/// "21 Nov 2026, 04:14:09.120 UTC": a moment that is looked back at.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M:%S%.3f UTC").to_string()
}

/// "04:14:09.120": in a timeline, milliseconds tell the story.
pub(crate) fn exact_time(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S%.3f").to_string()
}

/// For the `datetime` attribute.
pub(crate) fn machine(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// From Unix milliseconds; what is outside the calendar is 1970.
pub(crate) fn from_millis(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// How long after the start something happened: "+40 ms", "+1.25 s", "+14 min 30 s". Empty for
/// the start itself, and for what clocks of two machines put before it.
pub(crate) fn after(start: DateTime<Utc>, at: DateTime<Utc>) -> String {
    match (at - start).num_milliseconds() {
        i64::MIN..=0 => String::new(),
        millis => format!("+{}", span(millis)),
    }
}

/// How long something took, from milliseconds: "40 ms", "1.25 s", "14 min 30 s".
pub(crate) fn span(millis: i64) -> String {
    match millis {
        i64::MIN..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{:02} s", millis / 1_000, millis % 1_000 / 10),
        _ => minutes(TimeDelta::milliseconds(millis)),
    }
}

/// A time to wait, from seconds, in words: "1 second", "40 seconds", "2 minutes". Rounded up.
pub(crate) fn wait(seconds: u64) -> String {
    let (number, unit) = if seconds < 120 { (seconds.max(1), "second") } else { (seconds.div_ceil(60), "minute") };
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

/// What is left of a countdown: "14:32", "1:05:00", and nothing is "0:00".
pub(crate) fn left(from: DateTime<Utc>, until: DateTime<Utc>) -> String {
    let seconds = ((until - from).num_milliseconds().max(0) + 999) / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

fn minutes(span: TimeDelta) -> String {
    match (span.num_hours(), span.num_minutes() % 60, span.num_seconds() % 60) {
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_795_234_449_120 + millis).expect("in range")
    }

    #[test]
    fn times_read_as_people_write_them() {
        assert_eq!(date_and_time(at(0)), "21 Nov 2026, 04:14 UTC");
        assert_eq!(exact_time(at(0)), "04:14:09.120");
        assert_eq!(moment(at(0)), "21 Nov 2026, 04:14:09.120 UTC");
        assert_eq!(machine(at(0)), "2026-11-21T04:14:09.120Z");
    }

    #[test]
    fn spans_are_as_exact_as_they_are_short() {
        for (millis, text) in [
            (-5, ""),
            (0, ""),
            (40, "+40 ms"),
            (1_250, "+1.25 s"),
            (59_999, "+59.99 s"),
            (60_000, "+1 min"),
            (870_000, "+14 min 30 s"),
            (7_260_000, "+2 h 1 min"),
        ] {
            assert_eq!(after(at(0), at(millis)), text);
        }
    }

    #[test]
    fn a_time_to_wait_is_told_in_the_unit_that_people_would_take() {
        for (seconds, text) in
            [(0, "1 second"), (1, "1 second"), (40, "40 seconds"), (120, "2 minutes"), (121, "3 minutes")]
        {
            assert_eq!(wait(seconds), text);
        }
    }

    #[test]
    fn a_countdown_rounds_up_and_ends_at_zero() {
        for (millis, text) in [(872_000, "14:32"), (1, "0:01"), (0, "0:00"), (-10, "0:00"), (3_900_000, "1:05:00")] {
            assert_eq!(left(at(0), at(millis)), text);
        }
    }
}
