//! The mapped files of a target: places that are the same when it is started again.

use std::collections::HashSet;
use std::slice;

use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::error::Result;
use crate::scan::plan::Plan;
use crate::scan::region::{Region, RegionKind};
use crate::scan::source::Source;

/// How much of a file is read for its ELF header and what follows that.
const HEADERS: usize = 4096;

#[derive(Debug)]
pub struct Modules {
    pub names: Vec<String>,
    /// The lowest address of each.
    pub bases: Vec<u64>,
    /// Start, end and module of each mapping, in order.
    spans: Vec<(u64, u64, usize)>,
}

impl Modules {
    /// A module is all mappings of one file that follow each other and, where it is a
    /// program or a library, the zeroed memory that it asks for behind them. A file that is
    /// mapped once more elsewhere is not one there: its name would not tell which is meant.
    pub fn new(source: &dyn Source, regions: &[Region]) -> Result<Modules> {
        let mut modules = Modules { names: Vec::new(), bases: Vec::new(), spans: Vec::new() };
        let mut known = HashSet::new();
        let mut current: Option<&Region> = None;
        // Where the last mapping ends, and the module with its zeros.
        let (mut behind, mut end) = (0, 0);
        for region in regions {
            if region.kind == RegionKind::File {
                let same = |other: &Region| {
                    (&other.name, other.device, other.inode)
                        == (&region.name, region.device, region.inode)
                };
                if !current.is_some_and(same) {
                    current = known.insert(&region.name).then_some(region);
                    if current.is_some() {
                        end = loaded_end(source, region)?.unwrap_or(0);
                        modules.names.push(region.name.clone());
                        modules.bases.push(region.start);
                    }
                }
                behind = region.end;
                if current.is_some() {
                    modules.spans.push((region.start, region.end, modules.names.len() - 1));
                }
            } else if current.take().is_some()
                && region.kind == RegionKind::Anonymous
                && region.start == behind
                && region.start < end
            {
                // The kernel may have put other memory into one region with the zeros.
                let end = end.min(region.end);
                modules.spans.push((region.start, end, modules.names.len() - 1));
            }
        }
        Ok(modules)
    }

    pub fn of(&self, address: u64) -> Option<usize> {
        let behind = self.spans.partition_point(|&(start, ..)| start <= address);
        let &(_, end, module) = self.spans.get(behind.checked_sub(1)?)?;
        (address < end).then_some(module)
    }
}

/// Where what an ELF file asks for ends, if its header is mapped at the start of `region`.
fn loaded_end(source: &dyn Source, region: &Region) -> Result<Option<u64>> {
    if region.offset != 0 || !region.readable() {
        return Ok(None);
    }
    // By a plan, as all else is read, so that no page is put in the target's memory.
    let end = region.end.min(region.start + HEADERS as u64);
    let plan = Plan::within(source, slice::from_ref(region), &[(region.start, end)])?;
    let Some(run) = plan.runs.first().filter(|run| run.start == region.start) else {
        return Ok(None);
    };
    let (mut bytes, mut got) = ([0; HEADERS], 0);
    let into = &mut bytes[..(run.end - run.start) as usize];
    run.fill(source, run.start, into, &mut Vec::new(), |from, to| {
        if from == 0 {
            got = to;
        }
    })?;
    let data = &bytes[..got];
    let headers = FileHeader64::<LittleEndian>::parse(data)
        .and_then(|header| header.program_headers(LittleEndian, data));
    // Any file can be mapped; most that are no programs have no such header.
    let Ok(headers) = headers else { return Ok(None) };
    let loads = || headers.iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD);
    let page = rustix::param::page_size() as u64;
    let first = loads().map(|header| header.p_vaddr(LittleEndian) / page * page).min();
    let last = loads()
        .filter_map(|header| header.p_vaddr(LittleEndian).checked_add(header.p_memsz(LittleEndian)))
        .max();
    let size = first.zip(last).and_then(|(first, last)| last.checked_sub(first));
    Ok(size.and_then(|size| region.start.checked_add(size)))
}
