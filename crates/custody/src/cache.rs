//! A bounded memory of what was used lately.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Two generations: what is used moves to the young one; when the young one is full, the old one
/// is forgotten. So at most `capacity` values are held, what is used stays, and nothing is ever
/// searched for a victim.
pub(crate) struct Recent<K, V> {
    half: usize,
    generations: Mutex<Generations<K, V>>,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    /// Holds at most `capacity` values (at least two).
    pub(crate) fn new(capacity: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { half: (capacity / 2).max(1), generations: Mutex::new(generations) }
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, which counts as a use.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.lock();
        if let Some(value) = generations.young.get(key) {
            return Some(value.clone());
        }
        let value = generations.old.remove(key)?;
        self.place(&mut generations, key.clone(), value.clone());
        Some(value)
    }

    /// The value; made by `make` if there is none.
    pub(crate) fn get_or(&self, key: &K, make: impl FnOnce() -> V) -> V {
        let mut generations = self.lock();
        if let Some(value) = generations.young.get(key) {
            return value.clone();
        }
        let value = generations.old.remove(key).unwrap_or_else(make);
        self.place(&mut generations, key.clone(), value.clone());
        value
    }

    /// Remembers a value.
    pub(crate) fn put(&self, key: K, value: V) {
        let mut generations = self.lock();
        generations.old.remove(&key);
        self.place(&mut generations, key, value);
    }

    /// Forgets a value.
    pub(crate) fn remove(&self, key: &K) {
        let mut generations = self.lock();
        generations.young.remove(key);
        generations.old.remove(key);
    }

    /// Forgets everything that is not to be kept.
    pub(crate) fn retain(&self, keep: impl Fn(&V) -> bool) {
        let mut generations = self.lock();
        generations.young.retain(|_, value| keep(value));
        generations.old.retain(|_, value| keep(value));
    }

    /// What values are held for.
    pub(crate) fn keys(&self) -> Vec<K> {
        let generations = self.lock();
        generations.young.keys().chain(generations.old.keys()).cloned().collect()
    }

    /// How many values are held.
    pub(crate) fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }

    fn place(&self, generations: &mut Generations<K, V>, key: K, value: V) {
        if generations.young.len() >= self.half && !generations.young.contains_key(&key) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_capacity_and_keeps_what_is_used() {
        let recent = Recent::new(8);
        recent.put(0, "kept");
        for number in 1..1000 {
            recent.put(number, "passing");
            assert_eq!(recent.get(&0), Some("kept"));
            assert!(recent.len() <= 8);
        }
        assert_eq!(recent.get(&1), None);
        recent.remove(&0);
        assert_eq!(recent.get(&0), None);
    }
}
