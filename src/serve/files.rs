//! How many connections the machine has room for. Every connection is an open file, and a process may open only so many:
//! the limit is raised as far as it may be, and where that is not far enough there are fewer connections rather than a
//! server that cannot open its own files.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are open besides the connections: the ledger and its pools, listeners, the runtime, connections that are
/// being turned away, and some to spare.
pub const OTHERS: usize = 512;

/// Raises the limit of open files as far as `connections_max` connections need it, and returns how many there is room
/// for.
pub fn room_for(connections_max: usize) -> usize {
    let needed = u64::try_from(connections_max.saturating_add(OTHERS)).unwrap_or(u64::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let wanted = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
        let before = limit.current.replace(wanted);
        match setrlimit(Resource::Nofile, limit) {
            Ok(()) => tracing::debug!(?before, now = wanted, "the limit of open files was raised"),
            Err(error) => {
                tracing::debug!(%error, "the limit of open files could not be raised");
                limit.current = before;
            }
        }
    }
    let room = connections(limit.current, connections_max);
    if room < connections_max {
        tracing::warn!(
            files = limit.current,
            connections = room,
            wanted = connections_max,
            "the machine allows too few open files for limits.connections_max: raise the limit (ulimit -n, \
             LimitNOFILE=) or lower the knob; there will be fewer connections"
        );
    }
    room
}

/// The connections that fit when so many files may be open; with very few, half of them are for the rest.
fn connections(files: Option<u64>, connections_max: usize) -> usize {
    let Some(files) = files.and_then(|files| usize::try_from(files).ok()) else { return connections_max };
    connections_max.min(files - OTHERS.min(files / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::{OTHERS, connections};

    #[test]
    fn there_are_never_more_connections_than_files_for_them() {
        assert_eq!(connections(None, 19_000), 19_000);
        assert_eq!(connections(Some(20_000), 19_000), 19_000);
        assert_eq!(connections(Some(19_100), 19_000), 19_100 - OTHERS);
        assert_eq!(connections(Some(1_024), 19_000), 512);
        assert_eq!(connections(Some(64), 19_000), 32);
        assert_eq!(connections(Some(0), 19_000), 1);
    }
}
