//! A bounded memory: the *least recently used* goes first.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// What is kept, how large it is, and when it was used last.
struct Kept<V> {
    value: V,
    bytes: usize,
    used: u64,
}

/// At most so many values, and so many bytes together.
pub(super) struct Recent<K, V> {
    kept: HashMap<K, Kept<V>>,
    most: usize,
    most_bytes: usize,
    bytes: usize,
    /// Counts the uses.
    now: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self { kept: HashMap::new(), most, most_bytes, bytes: 0, now: 0 }
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.now += 1;
        let kept = self.kept.get_mut(key)?;
        kept.used = self.now;
        Some(kept.value.clone())
    }

    /// Keeps `value`, which is `bytes` large.
    pub(super) fn keep(&mut self, key: K, value: V, bytes: usize) {
        self.now += 1;
        self.bytes += bytes;
        if let Some(earlier) = self.kept.insert(key, Kept { value, bytes, used: self.now }) {
            self.bytes -= earlier.bytes;
        }
        while self.kept.len() > self.most || self.bytes > self.most_bytes {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
            let Some(gone) = oldest.and_then(|oldest| self.kept.remove(&oldest)) else { return };
            self.bytes -= gone.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_bytes_are_bounded() {
        let mut recent = Recent::new(100, 4_000);
        for n in 0..100 {
            recent.keep(n, n, 12);
        }
        assert_eq!(recent.get(&0), Some(0));
        recent.keep(100, 100, 12);
        assert_eq!(recent.get(&0), Some(0), "used a moment ago");
        assert_eq!(recent.get(&1), None, "the oldest");
        assert_eq!(recent.bytes, 100 * 12);

        for n in 0..10 {
            recent.keep(1_000 + n, n, 1_000);
        }
        assert_eq!((recent.kept.len(), recent.bytes), (4, 4_000));
        recent.keep(1_009, 9, 1_000);
        assert_eq!((recent.kept.len(), recent.bytes), (4, 4_000), "kept twice, counted once");
    }
}
