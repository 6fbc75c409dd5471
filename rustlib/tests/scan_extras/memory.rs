//! A source that a test puts together region by region.

use std::sync::Mutex;
use std::sync::atomic::AtomicU8;

use gmemx::error::{Error, Result};
use gmemx::scan::{Control, Piece, Region, RegionKind, Source, What};

#[derive(Debug)]
pub struct Memory {
    pub regions: Vec<Region>,
    /// What each region holds; where it is shorter than the region, there is a hole.
    pub contents: Mutex<Vec<Vec<u8>>>,
    /// The pages that are told to be untouched.
    pub zero: Vec<(u64, u64)>,
    pub gone: std::sync::atomic::AtomicBool,
}

impl Memory {
    pub fn new() -> Memory {
        Memory {
            regions: Vec::new(),
            contents: Mutex::default(),
            zero: Vec::new(),
            gone: false.into(),
        }
    }

    pub fn region(&mut self, start: u64, size: u64, contents: Vec<u8>) -> &mut Region {
        let region = Region {
            start,
            end: start + size,
            permissions: 3,
            kind: RegionKind::Anonymous,
            offset: 0,
            device: (0, 0),
            inode: 0,
            name: String::new(),
        };
        self.contents.get_mut().unwrap().push(contents);
        self.regions.push(region);
        self.regions.last_mut().unwrap()
    }

    /// A region of a file.
    pub fn file(&mut self, start: u64, size: u64, contents: Vec<u8>, name: &str) {
        let region = self.region(start, size, contents);
        region.kind = RegionKind::File;
        region.name = name.into();
        region.inode = 7;
    }

    pub fn ranges(&self) -> Vec<(u64, u64)> {
        self.regions.iter().map(|region| (region.start, region.end)).collect()
    }

    pub fn byte(&self, address: u64) -> Option<u8> {
        let i = self.regions.iter().position(|r| (r.start..r.end).contains(&address))?;
        let place = (address - self.regions[i].start) as usize;
        self.contents.lock().unwrap()[i].get(place).copied()
    }

    fn check(&self) -> Result<()> {
        if self.gone.load(std::sync::atomic::Ordering::Relaxed) {
            let source = std::io::Error::from_raw_os_error(libc::ESRCH);
            return Err(Error::Io { what: "the target has ended".into(), source });
        }
        Ok(())
    }
}

impl Source for Memory {
    fn regions(&self) -> Result<Vec<Region>> {
        self.check()?;
        Ok(self.regions.clone())
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize> {
        self.check()?;
        let contents = self.contents.lock().unwrap();
        let mut done = 0;
        while done < into.len() {
            let at = address + done as u64;
            let Some(i) = self.regions.iter().position(|r| (r.start..r.end).contains(&at)) else {
                break;
            };
            let there = contents[i].get((at - self.regions[i].start) as usize..).unwrap_or(&[]);
            let count = there.len().min(into.len() - done);
            into[done..done + count].copy_from_slice(&there[..count]);
            done += count;
            if count == 0 {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, address: u64, bytes: &[u8], _force: bool) -> Result<usize> {
        self.check()?;
        let mut contents = self.contents.lock().unwrap();
        let Some(i) = self.regions.iter().position(|r| (r.start..r.end).contains(&address)) else {
            return Ok(0);
        };
        let place = (address - self.regions[i].start) as usize;
        let room = contents[i].get_mut(place..).unwrap_or(&mut []);
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn pieces(&self, _: &Region, start: u64, end: u64, out: &mut Vec<Piece>) -> Result<()> {
        let mut at = start;
        for &(from, to) in &self.zero {
            let (from, to) = (from.max(start), to.min(end));
            if from < to {
                if at < from {
                    out.push(Piece { start: at, end: from, what: What::Read });
                }
                out.push(Piece { start: from, end: to, what: What::Zero });
                at = to;
            }
        }
        if at < end {
            out.push(Piece { start: at, end, what: What::Read });
        }
        Ok(())
    }
}

/// Runs something long on so many threads, told to go on.
pub fn with_control<R>(threads: usize, body: impl FnOnce(&mut Control) -> R) -> R {
    let cancel = AtomicU8::new(0);
    body(&mut Control { threads, tick: &mut |_, _| false, cancel: &cancel })
}

/// A file of this test alone, removed at the end.
pub struct Scratch(pub std::path::PathBuf);

impl Scratch {
    pub fn new(bytes: &[u8]) -> Scratch {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("gmemx-scan-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a file in the temporary folder");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is not there any more is no concern.
        let _ = std::fs::remove_file(&self.0);
    }
}
