//! From a target back to the modules.
//!
//! Level 1 has the pointers that lead near the target, level k + 1 those that lead near a
//! pointer of level k. What lies in a module ends there; what does not is carried on. Each
//! level is made once, however many ways there are through it. The ways of each length are
//! then listed from the target outward, over only those pointers from which a module is
//! reached in that many steps, so that the list grows with every few steps taken.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Entry, NO_ROOM, Pointers, sort};
use crate::error::{Error, Result};
use crate::scan::plan::Control;

const MOST_STEPS: u32 = 32;
/// How often a search looks up.
const TICK: Duration = Duration::from_millis(50);
/// Steps of the search between two looks at the clock.
const STEPS: u32 = 4096;

/// A way from a module to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// The number of the module.
    pub module: usize,
    /// From its base to the first pointer.
    pub offset: u64,
    /// What is added to each pointer; the last leads to the address.
    pub offsets: &'a [u32],
}

/// The ways to one address.
#[derive(Debug, Default)]
pub struct Paths {
    /// The module, the offset in it, and where among `offsets` its own begin.
    starts: Vec<(usize, u64, usize)>,
    offsets: Vec<u32>,
    names: Vec<String>,
}

impl Paths {
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    pub fn get(&self, i: usize) -> Option<Path<'_>> {
        let &(module, offset, first) = self.starts.get(i)?;
        let end = self.starts.get(i + 1).map_or(self.offsets.len(), |&(.., first)| first);
        Some(Path { module, offset, offsets: &self.offsets[first..end] })
    }

    /// The path of each module's file.
    pub fn modules(&self) -> &[String] {
        &self.names
    }
}

/// The pointers of a level, as numbers of entries.
struct Level {
    /// In modules; in order.
    ends: Vec<usize>,
    /// Elsewhere: the place in the high half, by which they are sorted, and the number.
    rest: Vec<u128>,
}

fn place(packed: u128) -> u64 {
    (packed >> 64) as u64
}

impl Pointers {
    /// All ways to `target` of at most `depth` pointers, each of which leads to at most
    /// `max_offset` bytes before the next, or before the target: the shortest first; of the
    /// same length by the offset next to the target, then the place of that pointer, then
    /// the offset before, and so on. None goes twice through the same pointer. At most
    /// `limit`, if that is not 0.
    pub fn paths(
        &self,
        target: u64,
        depth: u32,
        max_offset: u32,
        limit: usize,
        control: &mut Control,
    ) -> Result<Paths> {
        if !(1..=MOST_STEPS).contains(&depth) {
            return Err(Error::InvalidArgument(format!(
                "a depth of {depth} pointers: wanted 1 to {MOST_STEPS}"
            )));
        }
        let mut search = Search {
            pointers: self,
            target,
            max_offset: max_offset.into(),
            limit: if limit == 0 { usize::MAX } else { limit },
            levels: Vec::new(),
            alive: Vec::new(),
            way: Vec::new(),
            found: Paths { names: self.modules.names.clone(), ..Paths::default() },
            watch: Watch {
                control,
                looked: Instant::now(),
                steps: 0,
                done: 0,
                total: depth.into(),
            },
        };
        search.run(depth as usize)?;
        Ok(search.found)
    }
}

struct Search<'a, 'c, 'd> {
    pointers: &'a Pointers,
    target: u64,
    max_offset: u64,
    limit: usize,
    levels: Vec<Level>,
    /// For each level, the entries from which a module is reached in the steps that remain.
    alive: Vec<Marks>,
    /// The entries of the way that is being followed, from the target outward.
    way: Vec<Entry>,
    found: Paths,
    watch: Watch<'c, 'd>,
}

impl Search<'_, '_, '_> {
    fn run(&mut self, depth: usize) -> Result<()> {
        let mut places = vec![self.target];
        for length in 1..=depth {
            let level = self.level(&places, length < depth)?;
            places = level.rest.iter().map(|&packed| place(packed)).collect();
            self.levels.push(level);
            self.mark_alive()?;
            self.follow(self.target)?;
            self.watch.done += 1;
            if self.found.len() >= self.limit || places.is_empty() {
                break;
            }
        }
        self.watch.look()
    }

    /// The pointers that lead near one of `places`, which are in order.
    fn level(&mut self, places: &[u64], wants_rest: bool) -> Result<Level> {
        let Pointers { entries, modules, .. } = self.pointers;
        let mut level = Level { ends: Vec::new(), rest: Vec::new() };
        let mut next = 0;
        for &to in places {
            self.watch.step()?;
            let range = self.pointers.leading(to, self.max_offset);
            let fresh = range.start.max(next)..range.end;
            for i in fresh {
                self.watch.step()?;
                let location = entries[i].location();
                if modules.of(location).is_some() {
                    level.ends.try_reserve(1).map_err(|_| NO_ROOM)?;
                    level.ends.push(i);
                } else if wants_rest {
                    level.rest.try_reserve(1).map_err(|_| NO_ROOM)?;
                    level.rest.push(u128::from(location) << 64 | i as u128);
                }
            }
            next = next.max(range.end);
        }
        sort(&mut level.rest, self.watch.control.threads);
        Ok(level)
    }

    /// Goes from the ends of the last level back to the target and marks what is passed.
    fn mark_alive(&mut self) -> Result<()> {
        self.alive = self.levels.iter().map(|_| Marks::new(self.pointers.len())).collect();
        let Some((last, nearer)) = self.levels.split_last() else { return Ok(()) };
        let Some((marks, nearer_marks)) = self.alive.split_last_mut() else { return Ok(()) };
        let mut passed = last.ends.clone();
        passed.iter().for_each(|&i| marks.set(i));
        for (level, marks) in nearer.iter().zip(nearer_marks).rev() {
            let mut onward = Vec::new();
            let mut next = 0;
            // In order of entries, so in order of where they lead to.
            for &i in &passed {
                let from = self.pointers.entries[i].value();
                let to = from.saturating_add(self.max_offset);
                next = next.max(level.rest.partition_point(|&packed| place(packed) < from));
                while next < level.rest.len() && place(level.rest[next]) <= to {
                    self.watch.step()?;
                    onward.push(level.rest[next] as u64 as usize);
                    next += 1;
                }
            }
            onward.iter().for_each(|&i| marks.set(i));
            sort(&mut onward, self.watch.control.threads);
            passed = onward;
        }
        Ok(())
    }

    /// Lists the ways that go on from `to`.
    fn follow(&mut self, to: u64) -> Result<()> {
        let step = self.way.len();
        let mut range = self.pointers.leading(to, self.max_offset);
        // What leads nearest has the highest value.
        while let Some(i) = self.alive[step].last_in(range.clone()) {
            self.watch.step()?;
            range.end = i;
            let entry = self.pointers.entries[i];
            if self.way.contains(&entry) {
                continue;
            }
            self.way.push(entry);
            let done = match step + 1 == self.levels.len() {
                true => self.note(),
                false => self.follow(entry.location()),
            };
            self.way.pop();
            done?;
            if self.found.len() >= self.limit {
                break;
            }
        }
        Ok(())
    }

    fn note(&mut self) -> Result<()> {
        let modules = &self.pointers.modules;
        let Paths { starts, offsets, .. } = &mut self.found;
        let Some((place, module)) = self
            .way
            .last()
            .and_then(|first| Some((first.location(), modules.of(first.location())?)))
        else {
            return Ok(());
        };
        starts.try_reserve(1).map_err(|_| NO_ROOM)?;
        offsets.try_reserve(self.way.len()).map_err(|_| NO_ROOM)?;
        starts.push((module, place - modules.bases[module], offsets.len()));
        for step in (0..self.way.len()).rev() {
            let to = if step == 0 { self.target } else { self.way[step - 1].location() };
            // At most `max_offset`, which is an u32.
            offsets.push((to - self.way[step].value()) as u32);
        }
        Ok(())
    }
}

impl Pointers {
    /// The entries that lead to at most `max_offset` bytes before `to`.
    fn leading(&self, to: u64, max_offset: u64) -> Range<usize> {
        let lowest = to.saturating_sub(max_offset);
        let start = self.entries.partition_point(|entry| entry.value() < lowest);
        let end = start + self.entries[start..].partition_point(|entry| entry.value() <= to);
        start..end
    }
}

/// Looks up now and then.
struct Watch<'c, 'd> {
    control: &'c mut Control<'d>,
    looked: Instant,
    steps: u32,
    done: u64,
    total: u64,
}

impl Watch<'_, '_> {
    #[inline]
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps < STEPS {
            return Ok(());
        }
        self.steps = 0;
        if self.looked.elapsed() >= TICK { self.look() } else { self.cancelled() }
    }

    fn cancelled(&self) -> Result<()> {
        match self.control.cancel.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(Error::Cancelled),
        }
    }

    fn look(&mut self) -> Result<()> {
        self.looked = Instant::now();
        self.cancelled()?;
        if (self.control.tick)(self.done, self.total) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A set of numbers.
struct Marks(Vec<u64>);

impl Marks {
    fn new(count: usize) -> Marks {
        Marks(vec![0; count.div_ceil(64)])
    }

    fn set(&mut self, i: usize) {
        self.0[i / 64] |= 1 << (i % 64);
    }

    /// The highest in a range.
    fn last_in(&self, range: Range<usize>) -> Option<usize> {
        let mut at = range.end.checked_sub(1).filter(|_| !range.is_empty())?;
        // The bits up to and including `at`.
        let mut word = self.0[at / 64] & (u64::MAX >> (63 - at % 64));
        while word == 0 {
            at = (at / 64 * 64).checked_sub(1).filter(|&at| at >= range.start)?;
            word = self.0[at / 64];
        }
        let last = at / 64 * 64 + word.ilog2() as usize;
        (last >= range.start).then_some(last)
    }
}
