//! `MAX_CONNECTIONS` and `KEEP_ALIVE`.

use std::time::Duration;

use super::{Reader, duration};

/// Fewest connections that make sense: a proxy, health checks and a few clients.
const FEWEST: u64 = 16;
/// Highest default, however many files the process may open.
const DEFAULT: u64 = 1024;
/// File descriptors reserved for everything else: the database, 32 sends to a provider, 64 deliveries to event
/// endpoints, the log.
const RESERVED: u64 = 160;
/// File limit of most systems, used if the limit cannot be read.
const USUAL_LIMIT: u64 = 1024;

impl Reader<'_> {
    /// Reads `MAX_CONNECTIONS`. By default, half of the files that the process may open are left for everything else.
    pub(super) fn max_connections(&mut self) -> Option<usize> {
        let limit = open_files();
        let default = (limit / 2).clamp(FEWEST, DEFAULT);
        let most = limit.saturating_sub(RESERVED).max(default);
        let rule = format!(
            "must be a whole number from {FEWEST} to {most}: this process may open {limit} files (ulimit -n), and needs \
             {RESERVED} of them for other things"
        );
        self.parsed("MAX_CONNECTIONS", &default.to_string(), &rule, |text| {
            let count: u64 = text.parse().ok()?;
            (FEWEST..=most).contains(&count).then(|| usize::try_from(count).ok())?
        })
    }

    pub(super) fn keep_alive(&mut self) -> Option<Duration> {
        self.parsed("KEEP_ALIVE", "90s", "must be a duration from 1s to 1h, such as 90s", |text| {
            let kept = duration(text)?.to_std().ok()?;
            (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&kept).then_some(kept)
        })
    }
}

/// Returns the number of files that the process may open: its soft limit.
fn open_files() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    soft_limit(&limits).unwrap_or(USUAL_LIMIT)
}

fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::from(u32::MAX)),
        count => count.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let limits = "Limit Soft Limit Hard Limit Units\nMax processes 30 40 processes\n\
                      Max open files            300                  524288               files     \n";
        assert_eq!(soft_limit(limits), Some(300));
        assert_eq!(soft_limit("Max open files unlimited unlimited files"), Some(u64::from(u32::MAX)));
        assert_eq!(soft_limit(""), None);
        assert!(open_files() > 0);
    }
}
