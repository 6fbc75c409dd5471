//! Many pages put into an overlay at once, as a file has them.

use std::sync::atomic::Ordering;

use super::{Overlay, Page, Result, SharedValue, hash, hash_of, no_memory};

/// Pages that are worth being put in together: a batch of them goes once through the map.
pub const BATCH: usize = 1 << 20;

impl Overlay {
    /// Puts in pages that are not there yet, in the order in which the map keeps them: pages
    /// as they come lie anywhere in it, and would wait for memory one by one. At most `BATCH`
    /// of them, for an overlay that nobody else has yet, with room reserved.
    pub fn put_all(&self, mut pages: Vec<(u64, Page)>) -> Result<()> {
        let map = self.map()?;
        let shard_of = |page| map.determine_shard(hash(page) as usize);
        // In a shard the low bits of the hash say where a page is looked for first.
        let buckets = map.shards().iter().map(|shard| shard.read().buckets()).max().unwrap_or(1);
        let bits = buckets.trailing_zeros();
        let place = |page| (shard_of(page) as u64) << bits | hash(page) & ((1 << bits) - 1);
        let shift = (bits + map.shards().len().trailing_zeros()).saturating_sub(32);

        // Places and numbers side by side are sorted in half the time of pairs.
        let mut order = Vec::new();
        order.try_reserve_exact(pages.len()).map_err(|_| no_memory())?;
        order.extend((0..).zip(&pages).map(|(i, &(page, _))| place(page) >> shift << 32 | i));
        order.sort_unstable();
        let number = |entry: &u64| *entry as u32 as usize;

        let mut added = 0;
        let mut rest = order.iter().map(number).peekable();
        while let Some(&first) = rest.peek() {
            let place = shard_of(pages[first].0);
            let mut shard = map.shards()[place].write();
            while let Some(i) = rest.next_if(|&i| shard_of(pages[i].0) == place) {
                let (page, cells) = std::mem::take(&mut pages[i]);
                let hash = hash(page);
                if shard.get(hash, |entry| entry.0 == page).is_none() {
                    shard.try_reserve(1, hash_of).map_err(|_| no_memory())?;
                    added += cells.len();
                    shard.insert(hash, (page, SharedValue::new(cells)), hash_of);
                }
            }
        }
        self.cells.fetch_add(added, Ordering::AcqRel);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_put_in_as_if_written() {
        let (bulk, written) = (Overlay::default(), Overlay::default());
        let mut pages = Vec::new();
        for i in 0..5000u64 {
            // Neighbours, and pages anywhere; some of one cell, some of many.
            let page = if i % 2 == 0 { i } else { hash(i) >> 6 };
            let mask = hash(i ^ 0xC0FFEE) | 1;
            let mask = if i % 3 == 0 { mask } else { 1 << (i % 64) };
            let cells = (0..mask.count_ones()).map(|k| hash(i << 6 | u64::from(k)));
            for (k, slot) in (0..64).filter(|slot| mask >> slot & 1 == 1).enumerate() {
                let cell = f64::from_bits(hash(i << 6 | k as u64));
                written.set(page << 6 | slot, cell).unwrap();
            }
            pages.push((page, Page::of(mask, cells).unwrap()));
        }
        let later = pages.split_off(3000);
        bulk.put_all(pages).unwrap();
        bulk.put_all(later).unwrap();
        bulk.put_all(Vec::new()).unwrap();
        assert_eq!(bulk.len(), written.len());
        let (bulk, written) = (bulk.snapshot().unwrap(), written.snapshot().unwrap());
        assert_eq!(bulk.addresses, written.addresses);
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(bulk.values), bits(written.values));
    }
}
