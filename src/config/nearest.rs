//! The nearest known name to a misspelt one, by the **Levenshtein distance**.

/// The candidate nearest to `name`, if it is at most `limit` changes away.
pub(super) fn within<'a>(limit: usize, name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.map(|candidate| (distance(name, candidate), candidate)).filter(|(far, _)| *far <= limit);
    near.min().map(|(_, candidate)| candidate)
}

/// How many characters must be put in, taken out or changed to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_changes() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("listen", "listen", 0), ("lsten", "listen", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn what_is_too_far_is_not_meant() {
        let known = ["listen", "data-dir", "mail-from"];
        assert_eq!(within(2, "data_dir", known.into_iter()), Some("data-dir"));
        assert_eq!(within(2, "colour", known.into_iter()), None);
    }
}
