//! Limits wrong secrets by client id and by address.
//!
//! Anybody can invent client ids, and one IPv6 network has more addresses than we have memory. So the counts are in a
//! table of fixed size, and none is ever evicted. Each source has three cells, which it may share with others, and is
//! over the limit only if all three are full. A flood of invented sources can push others over the limit early, but it
//! cannot erase a count. Only wrong secrets are affected: the right one always gets a token. A random key decides which
//! cells a source has, so nobody can choose to share another source's cells.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use chrono::Duration;

use crate::domain::{clock::Time, origin::network_of};

/// Maximum number of wrong secrets for a client id or an address in a window.
const MOST: usize = 10;
/// Length of the window, in seconds.
const WINDOW: u32 = 60;
/// Number of cells of each source.
const ROWS: usize = 3;
/// Number of cells in a row, a power of two. All cells take 4 MiB, but only those in use take memory at all.
const CELLS: usize = 1 << 15;

/// Times of the last wrong secrets from the sources that share this cell, in seconds since 1970; 0 for none.
type Cell = [u32; MOST];

pub(super) struct WrongSecrets {
    key: RandomState,
    cells: Mutex<Vec<Cell>>,
}

impl WrongSecrets {
    pub(super) fn new() -> Self {
        Self { key: RandomState::new(), cells: Mutex::new(vec![[0; MOST]; ROWS * CELLS]) }
    }

    /// Counts a wrong secret that was sent for these client ids from this address. Returns how long to wait if one of
    /// them is over the limit.
    ///
    /// While an address is over the limit, the ids that it names are not counted: it could name any number of them.
    pub(super) fn count<'a>(
        &self,
        address: Option<IpAddr>,
        ids: impl IntoIterator<Item = &'a str>,
        now: Time,
    ) -> Option<Duration> {
        let now = u32::try_from(now.timestamp()).unwrap_or_default();
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = None;
        if let Some(address) = address {
            let rows = self.rows(("address", network_of(address)));
            wait = waits(&cells, rows, now);
            if wait.is_none() {
                add(&mut cells, rows, now);
            }
        }
        let may_count = wait.is_none();
        for id in ids {
            let rows = self.rows(("id", id));
            let of_id = waits(&cells, rows, now);
            if of_id.is_none() && may_count {
                add(&mut cells, rows, now);
            }
            wait = wait.max(of_id);
        }
        wait.map(|seconds| Duration::seconds(seconds.into()))
    }

    /// Returns the indexes of a source's cells.
    fn rows(&self, source: impl std::hash::Hash) -> [usize; ROWS] {
        let hash = self.key.hash_one(source);
        std::array::from_fn(|row| {
            let bits = hash >> (row * CELLS.trailing_zeros() as usize);
            #[expect(clippy::cast_possible_truncation, reason = "the cell is taken from the lowest bits")]
            let cell = bits as usize & (CELLS - 1);
            row * CELLS + cell
        })
    }
}

/// Returns how many seconds ago this was. A time in the future, from before the clock was set back, counts as long ago.
fn age(at: u32, now: u32) -> u32 {
    now.wrapping_sub(at)
}

/// Returns how long a source has to wait, in seconds; `None` if one of its cells is not full.
fn waits(cells: &[Cell], rows: [usize; ROWS], now: u32) -> Option<u32> {
    let oldest = rows.map(|row| cells[row].iter().map(|at| age(*at, now)).max().unwrap_or_default());
    let nearest = oldest.into_iter().max().unwrap_or_default();
    (nearest < WINDOW).then(|| WINDOW - nearest)
}

/// Counts one more in every cell of a source, replacing the oldest time there.
fn add(cells: &mut [Cell], rows: [usize; ROWS], now: u32) {
    for row in rows {
        if let Some(oldest) = cells[row].iter_mut().max_by_key(|at| age(**at, now)) {
            *oldest = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(seconds: i64) -> Time {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// Returns how long to wait after a wrong secret, in seconds; 0 if not at all.
    fn wrong(table: &WrongSecrets, from: &str, id: &str, seconds: i64) -> i64 {
        table.count(address(from), [id], at(seconds)).map_or(0, |wait| wait.num_seconds())
    }

    #[test]
    fn the_eleventh_in_a_minute_waits_until_the_first_is_a_minute_ago() {
        let table = WrongSecrets::new();
        for attempt in 0..10 {
            assert_eq!(wrong(&table, "192.0.2.1", &format!("id {attempt}"), attempt * 3), 0);
        }
        assert_eq!(wrong(&table, "192.0.2.1", "another", 30), 30);
        assert_eq!(wrong(&table, "192.0.2.1", "another", 59), 1);
        assert_eq!(wrong(&table, "192.0.2.1", "another", 60), 0);
        assert_eq!(wrong(&table, "192.0.2.1", "another", 60), 3, "the second was at 3");
        assert_eq!(wrong(&table, "192.0.2.2", "another", 60), 0, "another address is not affected");
    }

    #[test]
    fn an_id_is_limited_from_wherever_it_is_tried() {
        let table = WrongSecrets::new();
        for attempt in 0..10 {
            assert_eq!(wrong(&table, &format!("192.0.2.{attempt}"), "id", 0), 0);
        }
        assert_eq!(wrong(&table, "192.0.2.77", "id", 1), 59);
        assert_eq!(wrong(&table, "192.0.2.77", "other", 1), 0);
        assert_eq!(table.count(address("192.0.2.77"), ["other", "id"], at(1)), Some(Duration::seconds(59)));
        assert_eq!(table.count(None, ["id"], at(2)), Some(Duration::seconds(58)));
        assert_eq!(table.count(None, [], at(2)), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let table = WrongSecrets::new();
        for attempt in 0..10 {
            assert_eq!(wrong(&table, &format!("2001:db8:0:1:{attempt}::1"), &format!("id {attempt}"), 0), 0);
        }
        assert_eq!(wrong(&table, "2001:db8:0:1:ffff:ffff:ffff:ffff", "new", 0), 60);
        assert_eq!(wrong(&table, "2001:db8:0:2::1", "new", 0), 0);
    }

    #[test]
    fn nothing_that_others_send_makes_it_forget() {
        let table = WrongSecrets::new();
        for _ in 0..10 {
            wrong(&table, "192.0.2.1", "id", 0);
        }
        for flood in 0..200_000_u32 {
            let from = IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(flood) << 64).to_be_bytes());
            table.count(Some(from), [format!("made up {flood}").as_str()], at(30));
        }
        // Sources with the same cells may make it wait longer, but never shorter.
        assert!(wrong(&table, "192.0.2.1", "other", 30) >= 30);
        assert!(wrong(&table, "192.0.2.2", "id", 30) >= 30);
    }

    /// An address over the limit cannot fill the table with ids.
    #[test]
    fn one_address_uses_up_no_room_of_others() {
        let table = WrongSecrets::new();
        for flood in 0..100_000 {
            wrong(&table, "192.0.2.1", &format!("made up {flood}"), 0);
        }
        let used = table.cells.lock().expect("the table").iter().filter(|cell| **cell != [0; MOST]).count();
        assert!(used <= 11 * ROWS, "{used}");
    }

    #[test]
    fn a_clock_that_was_set_back_shuts_nobody_out() {
        let table = WrongSecrets::new();
        for _ in 0..10 {
            wrong(&table, "192.0.2.1", "id", 3600);
        }
        assert_eq!(wrong(&table, "192.0.2.1", "id", 0), 0);
    }
}
