//! Scan after scan over one source: what was found, how it came to be, what it was at
//! checkpoints.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arena::Store;
use super::first::First;
use super::kernel::Judge;
use super::matches::{Matches, Span, Which};
use super::next::Next;
use super::plan::{Control, ranges_of};
use super::source::{Skipped, Source};
use super::test::{Against, Bounds, Kind, Test};
use super::types::{ValueType, with_cell};
use super::windows;
use crate::error::{Error, Result};

#[derive(Clone, Debug)]
pub struct Options {
    /// Cells begin at multiples of it; 0 for the size of each type.
    pub alignment: u32,
    pub big_endian: bool,
    /// How many steps can be undone.
    pub history: usize,
    /// Bytes of values kept in memory, beyond which they go to `folder`; 0 for half of
    /// what is free.
    pub memory: u64,
    pub folder: PathBuf,
}

const MAX_ALIGNMENT: u32 = 4096;

/// A type and the distance of its cells.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub value_type: ValueType,
    pub step: usize,
}

impl Layout {
    /// Whether one cell passes.
    pub fn passes(self, test: &Test, bounds: Bounds, swap: bool, old: &[u8], new: &[u8]) -> bool {
        let mut found = [0];
        with_cell!(self.value_type, T => {
            Judge::<T>::new(test.kind, bounds, test.negate, swap).run(old, new, 1, 8, &mut found);
        });
        found[0] != 0
    }
}

/// The result of a scan.
#[derive(Clone)]
pub struct Found {
    pub matches: Vec<Matches>,
    pub skipped: Vec<Skipped>,
}

impl Found {
    /// Put together from what each task found, in order.
    pub fn of(
        layouts: &[Layout],
        parts: Vec<(Vec<Vec<Span>>, Vec<Skipped>)>,
        mut skipped: Vec<Skipped>,
    ) -> Found {
        let mut spans: Vec<Vec<Span>> = layouts.iter().map(|_| Vec::new()).collect();
        for (found, lost) in parts {
            for (all, mut found) in spans.iter_mut().zip(found) {
                all.append(&mut found);
            }
            skipped.extend(lost);
        }
        let matches = layouts.iter().zip(spans);
        let matches =
            matches.map(|(layout, spans)| Matches::new(layout.value_type, layout.step, spans));
        Found { matches: matches.collect(), skipped: windows::merged(skipped) }
    }
}

/// The matches of each type as they were, by name.
pub type Checkpoints = BTreeMap<String, Arc<Vec<Matches>>>;

#[derive(Default)]
struct State {
    /// None before the first scan.
    found: Option<Arc<Found>>,
    past: VecDeque<Arc<Found>>,
    checkpoints: Checkpoints,
}

pub struct Scanner {
    source: Arc<dyn Source>,
    layouts: Vec<Layout>,
    options: Options,
    store: Arc<Store>,
    /// Held through a scan: they come one after another, while results can be looked at.
    working: Mutex<()>,
    state: Mutex<State>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scanner {
    pub fn new(source: Arc<dyn Source>, types: &[ValueType], options: Options) -> Result<Scanner> {
        if types.is_empty() {
            return Err(Error::InvalidArgument("a scanner needs at least one type".into()));
        }
        for (i, value_type) in types.iter().enumerate() {
            if types[..i].contains(value_type) {
                return Err(Error::InvalidArgument(format!(
                    "{} is given twice",
                    value_type.name()
                )));
            }
        }
        let alignment = options.alignment;
        if alignment != 0 && (!alignment.is_power_of_two() || alignment > MAX_ALIGNMENT) {
            return Err(Error::InvalidArgument(format!(
                "alignment {alignment} is no power of two from 1 to {MAX_ALIGNMENT}"
            )));
        }
        let layouts = types.iter().map(|&value_type| Layout {
            value_type,
            step: if alignment == 0 { value_type.size() } else { alignment as usize },
        });
        Ok(Scanner {
            source,
            layouts: layouts.collect(),
            store: Store::new(options.memory, &options.folder),
            options,
            working: Mutex::default(),
            state: Mutex::default(),
        })
    }

    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    pub fn layouts(&self) -> &[Layout] {
        &self.layouts
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Whether cells are in the other byte order than this machine's.
    pub fn swapped(&self) -> bool {
        self.options.big_endian != cfg!(target_endian = "big")
    }

    /// What the last scan found.
    pub fn found(&self) -> Result<Arc<Found>> {
        lock(&self.state).found.clone().ok_or_else(|| {
            Error::InvalidArgument("there are no matches yet: begin with a first scan".into())
        })
    }

    /// What a session keeps: what was found last, and the checkpoints.
    pub(super) fn snapshot(&self) -> (Option<Arc<Found>>, Checkpoints) {
        let state = lock(&self.state);
        (state.found.clone(), state.checkpoints.clone())
    }

    /// Puts what a session kept in the place of all there was.
    pub(super) fn restore(&self, found: Option<Found>, checkpoints: Checkpoints) {
        let past = VecDeque::new();
        *lock(&self.state) = State { found: found.map(Arc::new), past, checkpoints };
    }

    /// Bytes of values in memory and on disk.
    pub fn memory(&self) -> (u64, u64) {
        self.store.used()
    }

    fn check(&self, test: &Test) -> Result<()> {
        let (given, wanted) = (test.bounds.len(), self.layouts.len());
        if test.kind.bounded() && given != wanted {
            return Err(Error::InvalidArgument(format!(
                "bounds for {given} types were given to a scanner of {wanted}"
            )));
        }
        Ok(())
    }

    fn step(&self, found: Found) {
        let mut state = lock(&self.state);
        if let Some(old) = state.found.replace(Arc::new(found)) {
            state.past.push_back(old);
        }
        while state.past.len() > self.options.history {
            state.past.pop_front();
        }
    }

    /// Looks at every cell of `ranges`; what was found before can be had back by `undo`.
    /// Checkpoints are forgotten.
    pub fn first(&self, ranges: &[(u64, u64)], test: &Test, control: &mut Control) -> Result<()> {
        let _working = lock(&self.working);
        self.check(test)?;
        if test.kind.compares() {
            return Err(Error::InvalidArgument(
                "an initial scan has no earlier values to compare with".into(),
            ));
        }
        let ranges = ranges_of(ranges)?;
        let first = First {
            source: &*self.source,
            layouts: &self.layouts,
            swap: self.swapped(),
            store: &self.store,
        };
        let found = first.scan(&ranges, test, control)?;
        self.step(found);
        lock(&self.state).checkpoints.clear();
        Ok(())
    }

    /// Reads the matches anew and keeps those that pass.
    pub fn next(&self, test: &Test, control: &mut Control) -> Result<()> {
        let _working = lock(&self.working);
        self.check(test)?;
        self.source.check()?;
        let found = self.found()?;
        let checkpoint = match test.against {
            Against::Checkpoint(name) if test.kind.compares() => Some(self.checkpoint(name)?),
            _ => None,
        };
        let found = self.next_of(&checkpoint).scan(&found.matches, test, control)?;
        self.step(found);
        Ok(())
    }

    fn next_of<'a>(&'a self, checkpoint: &'a Option<Arc<Vec<Matches>>>) -> Next<'a> {
        Next {
            source: &*self.source,
            layouts: &self.layouts,
            swap: self.swapped(),
            store: &self.store,
            checkpoint: checkpoint.as_ref().map(|matches| matches.as_slice()),
        }
    }

    /// Keeps the matches for which `keep` is not 0: of type `i`, or of all types one after
    /// the other.
    pub fn retain(&self, i: Option<usize>, keep: &[u8]) -> Result<()> {
        let _working = lock(&self.working);
        let found = self.found()?;
        let chosen = match i {
            Some(i) => self.type_index(i)?..i + 1,
            None => 0..self.layouts.len(),
        };
        let count: u64 = found.matches[chosen.clone()].iter().map(Matches::count).sum();
        if keep.len() as u64 != count {
            return Err(Error::InvalidArgument(format!(
                "a mask of {} for {count} matches",
                keep.len()
            )));
        }
        let mut all = found.matches.clone();
        let mut rest = keep;
        for matches in &mut all[chosen] {
            let (own, others) = rest.split_at(matches.count() as usize);
            *matches = super::next::retain(matches, &self.store, own)?;
            rest = others;
        }
        self.step(Found { matches: all, skipped: Vec::new() });
        Ok(())
    }

    pub fn type_index(&self, i: usize) -> Result<usize> {
        let count = self.layouts.len();
        (i < count)
            .then_some(i)
            .ok_or_else(|| Error::OutOfRange(format!("type {i} of a scanner of {count} types")))
    }

    /// Goes back to what was found before the last scan.
    pub fn undo(&self) -> Result<()> {
        let _working = lock(&self.working);
        let mut state = lock(&self.state);
        let old = state.past.pop_back();
        let old = old.ok_or_else(|| Error::NotFound("there is no step to undo".into()))?;
        state.found = Some(old);
        Ok(())
    }

    /// How many steps can be undone.
    pub fn steps(&self) -> usize {
        lock(&self.state).past.len()
    }

    pub fn count(&self, i: usize) -> u64 {
        let state = lock(&self.state);
        state.found.as_ref().and_then(|found| found.matches.get(i)).map_or(0, Matches::count)
    }

    fn checkpoint(&self, name: &str) -> Result<Arc<Vec<Matches>>> {
        let state = lock(&self.state);
        state.checkpoints.get(name).cloned().ok_or_else(|| {
            let names: Vec<_> = state.checkpoints.keys().map(|name| format!("{name:?}")).collect();
            let known = if names.is_empty() { "none".into() } else { names.join(", ") };
            Error::NotFound(format!("there is no checkpoint {name:?}: known are {known}"))
        })
    }

    /// Reads the values that the matches have now and keeps them under a name. What a
    /// later scan compares with by default stays what it was.
    pub fn save_checkpoint(&self, name: &str, control: &mut Control) -> Result<()> {
        let _working = lock(&self.working);
        self.source.check()?;
        let found = self.found()?;
        let test = Test { kind: Kind::Any, against: Against::Last, negate: false, bounds: &[] };
        let mut now = self.next_of(&None).scan(&found.matches, &test, control)?;
        for span in now.matches.iter_mut().flat_map(|matches| &mut matches.spans) {
            (span.previous, span.first) = (None, None);
        }
        lock(&self.state).checkpoints.insert(name.to_owned(), Arc::new(now.matches));
        Ok(())
    }

    pub fn delete_checkpoint(&self, name: &str) -> Result<()> {
        self.checkpoint(name)?;
        lock(&self.state).checkpoints.remove(name);
        Ok(())
    }

    /// Their names, sorted.
    pub fn checkpoints(&self) -> Vec<String> {
        lock(&self.state).checkpoints.keys().cloned().collect()
    }

    /// Keeps the matches that changed alike between the checkpoints a and b, and b and c:
    /// |d1 - d2| / max(|d1|, |d2|) * 100 <= `margin`, with d1 = b - a and d2 = c - b.
    pub fn filter_checkpoint(
        &self,
        names: [&str; 3],
        margin: f64,
        control: &mut Control,
    ) -> Result<()> {
        let _working = lock(&self.working);
        if !(margin >= 0.0 && margin.is_finite()) {
            return Err(Error::InvalidArgument(format!(
                "margin of {margin} percent: wanted 0 or more"
            )));
        }
        let found = self.found()?;
        let saved =
            [self.checkpoint(names[0])?, self.checkpoint(names[1])?, self.checkpoint(names[2])?];
        let saved = [&saved[0][..], &saved[1][..], &saved[2][..]];
        let found = super::checkpoints::alike(
            &found.matches,
            saved,
            (margin, self.swapped()),
            &self.store,
            control,
        )?;
        self.step(found);
        Ok(())
    }

    /// Values of matches from `start` on, as many as `into` takes, in this machine's byte order.
    pub fn values_of(
        &self,
        matches: &Matches,
        which: Which,
        start: u64,
        into: &mut [u8],
    ) -> Result<()> {
        let size = matches.value_type.size();
        matches.values(which, start, (into.len() / size) as u64, into)?;
        if self.swapped() {
            swap(into, size);
        }
        Ok(())
    }
}

/// Turns the bytes of each cell round.
pub fn swap(bytes: &mut [u8], size: usize) {
    if size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
}
