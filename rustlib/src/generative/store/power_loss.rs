//! Power is lost at any moment: of what was written since the disk last said that it had all,
//! any part may be there. Every file that can be left is opened again.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use proptest::prelude::RngCore;
use proptest::test_runner::{RngAlgorithm, TestRng};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::super::changes::Changes;
use super::super::overlay::Overlay;
use super::super::{Context, Generator};
use super::format::{About, Total};
use super::staged::nobody_to_keep_out;
use super::{OpenMode, load, open, prepare, recover, tell};

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
}

/// A disk that remembers all that was done to it.
#[derive(Debug, Default)]
struct Disk {
    now: InMemoryBackend,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Disk {
    fn note(&self, step: Step) {
        self.steps.lock().expect("no test has panicked").push(step);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.now.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.now.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.note(Step::Length(len));
        self.now.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.note(Step::Sync);
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.note(Step::Write(offset, data.to_vec()));
        self.now.write(offset, data)
    }

    nobody_to_keep_out!();
}

fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(at, data) => {
            let end = *at as usize + data.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at as usize..end].copy_from_slice(data);
        }
        Step::Length(len) => bytes.resize(*len as usize, 0),
        Step::Sync => {}
    }
}

/// What a disk may have after the first `upto` steps: all until the last synchronisation, and of
/// the rest what chance leaves, sectors of 512 bytes each by itself. Lengths come in order.
fn left_behind(steps: &[Step], upto: usize, rng: &mut TestRng) -> Vec<u8> {
    let synced = steps[..upto].iter().rposition(|step| matches!(step, Step::Sync)).unwrap_or(0);
    let mut bytes = Vec::new();
    steps[..synced].iter().for_each(|step| apply(&mut bytes, step));
    let rarely = rng.next_u32() % 4;
    for step in &steps[synced..upto] {
        match step {
            Step::Write(at, data) => {
                for (i, sector) in data.chunks(512).enumerate() {
                    if rng.next_u32() % 4 >= rarely {
                        let at = at + i as u64 * 512;
                        apply(&mut bytes, &Step::Write(at, sector.to_vec()));
                    }
                }
            }
            step => apply(&mut bytes, step),
        }
    }
    // A file that was never grown this far has no bytes there.
    let longest = steps[..upto].iter().rev().find_map(|step| match step {
        Step::Length(len) => Some(*len as usize),
        _ => None,
    });
    bytes.resize(longest.unwrap_or(bytes.len()), 0);
    bytes
}

fn cells_of(context: &Context) -> BTreeMap<u64, u64> {
    let snapshot = context.snapshot().expect("memory for a copy");
    let bits = snapshot.values.iter().map(|value| value.to_bits());
    snapshot.addresses.into_iter().zip(bits).collect()
}

#[test]
fn every_flush_that_returned_survives_the_loss_of_power() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let folder = std::env::temp_dir().join(format!("gmemx-power-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the files");
    let disk = Disk::default();
    let steps = disk.steps.clone();
    let mut about =
        About { seed: 7, generator: Generator::Vrns16, flushes: 0, total: Total::default() };
    let mut database = load::builder()
        .create_with_backend(Disk { now: disk.now, steps: disk.steps })
        .expect("a database in memory");
    prepare(&database, about).expect("an empty file");
    let mut overlay = Overlay::default();
    overlay.keep_notes().expect("memory");
    // After how many steps each flush had returned, and what was in the overlay then.
    let done = |steps: &Mutex<Vec<Step>>| steps.lock().expect("no panic").len();
    let mut flushed = vec![(done(&steps), BTreeMap::new())];
    let mut model = BTreeMap::new();
    for round in 0..12u32 {
        for _ in 0..rng.next_u32() % 200 {
            let (at, bits) = (u64::from(rng.next_u32() % 30_000), rng.next_u64());
            if rng.next_u32().is_multiple_of(8) {
                overlay.erase(at);
                model.remove(&at);
            } else {
                overlay.set(at, f64::from_bits(bits)).expect("memory");
                model.insert(at, bits);
            }
        }
        if round == 6 {
            overlay.clear();
            model.clear();
        }
        let mut changes: Changes = overlay.take_changes().expect("memory");
        changes.sort();
        about = tell(&mut database, about, &changes).expect("a disk without faults");
        flushed.push((done(&steps), model.clone()));
    }
    std::mem::forget(database);
    let steps = steps.lock().expect("no panic").clone();
    let path = folder.join("file");
    for trial in 0..600 {
        let upto = flushed[0].0 + rng.next_u64() as usize % (steps.len() + 1 - flushed[0].0);
        fs::write(&path, left_behind(&steps, upto, &mut rng)).expect("room for a file");
        let last = flushed.iter().rposition(|&(at, _)| at <= upto).expect("the first is there");
        let mode = if trial % 2 == 0 { OpenMode::Write } else { OpenMode::Read };
        let context = open(&path, Some(7), None, mode)
            .unwrap_or_else(|error| panic!("after {upto} steps: {error}"));
        let found = cells_of(&context);
        // The flush that was under way may be there, too: as a whole.
        let under_way = flushed.get(last + 1).is_some_and(|(_, cells)| *cells == found);
        assert!(found == flushed[last].1 || under_way, "after {upto} steps, flush {last}");
        drop(context);
        let (context, recovery) = recover(&path, None, None).expect("a sound file");
        assert_eq!(cells_of(&context), found);
        assert_eq!(
            (recovery.cells, recovery.dropped_pages, recovery.faults),
            (recovery.expected, 0, 0)
        );
    }
    fs::remove_dir_all(&folder).expect("the folder is ours");
}
