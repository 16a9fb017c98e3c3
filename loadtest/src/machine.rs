//! What the machine says of a process: its time on the processors, its memory, its limit of open files, and which process
//! listens on a port. All of it is read from `/proc`, so that nothing has to be built into a server to measure it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Why the machine cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A file of `/proc` is not there, or not ours to read.
    #[error("{}: {fault}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        fault: std::io::Error,
    },
    /// A file of `/proc` is not as it is described in proc(5).
    #[error("{} cannot be read: no {what}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// Nobody listens there, or somebody into whom we may not look.
    #[error("no process that may be looked into listens on port {0}: name it by --pid")]
    Nobody(u16),
    /// Several processes listen there.
    #[error("several processes listen on port {port} ({pids:?}): name the server by --pid")]
    Several {
        /// The port.
        port: u16,
        /// Who.
        pids: BTreeSet<u32>,
    },
}

/// Time on the processors, microseconds. `/proc` counts it in ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In the program itself.
    pub user_us: u64,
    /// In the kernel on its behalf.
    pub system_us: u64,
}

impl Cpu {
    /// Both together.
    pub fn total_us(self) -> u64 {
        self.user_us + self.system_us
    }

    /// What came after `earlier`.
    pub fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            user_us: self.user_us.saturating_sub(earlier.user_us),
            system_us: self.system_us.saturating_sub(earlier.system_us),
        }
    }
}

/// Time of all processors together, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processors {
    /// All time there was.
    pub all: u64,
    /// Time in which nothing was to be done.
    pub idle: u64,
    /// Time that the host gave to others.
    pub stolen: u64,
}

impl Processors {
    /// The machine now.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn now() -> Result<Processors, MachineError> {
        let path = Path::new("/proc/stat");
        processors_of(&text(path)?).ok_or_else(|| unreadable(path, "line of all processors"))
    }

    /// The share of the time since `earlier` in which processors were busy or away, 0 to 1.
    pub fn busy_since(self, earlier: Processors) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1) as f64;
        1.0 - self.idle.saturating_sub(earlier.idle) as f64 / all
    }
}

/// A process of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// The process this runs in.
    pub fn own() -> Process {
        Process { pid: std::process::id() }
    }

    /// The process with this id.
    ///
    /// # Errors
    /// See [`MachineError`]: there is none.
    pub fn with_id(pid: u32) -> Result<Process, MachineError> {
        let process = Process { pid };
        process.cpu().map(|_| process)
    }

    /// The one process that listens on a TCP port of this machine.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn listening(port: u16) -> Result<Process, MachineError> {
        let mut sockets = listeners_of(&text(Path::new("/proc/net/tcp"))?, port);
        // A machine without IPv6 has no such table.
        sockets.extend(listeners_of(&text(Path::new("/proc/net/tcp6")).unwrap_or_default(), port));
        let mut pids = BTreeSet::new();
        let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
        for process in entries(Path::new("/proc")) {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // Whatever ends meanwhile, or belongs to somebody else, does not answer.
            let mut files = entries(&process.path().join("fd"));
            let holds = |file: std::fs::DirEntry| {
                let target = std::fs::read_link(file.path()).ok()?;
                let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()?;
                sockets.contains(&inode).then_some(())
            };
            if files.any(|file| holds(file).is_some()) {
                pids.insert(pid);
            }
        }
        match (pids.pop_first(), pids.is_empty()) {
            (Some(pid), true) => Ok(Process { pid }),
            (Some(first), false) => {
                pids.insert(first);
                Err(MachineError::Several { port, pids })
            }
            (None, _) => Err(MachineError::Nobody(port)),
        }
    }

    /// Its id.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Its time on the processors so far, of all its threads.
    ///
    /// # Errors
    /// See [`MachineError`]; also when it has ended.
    pub fn cpu(self) -> Result<Cpu, MachineError> {
        let path = self.file("stat");
        cpu_of(&text(&path)?, rustix::param::clock_ticks_per_second()).ok_or_else(|| unreadable(&path, "times"))
    }

    /// Its memory, bytes: the proportional set size, in which a page shared by two counts half for each.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn memory_bytes(self) -> Result<u64, MachineError> {
        let path = self.file("smaps_rollup");
        memory_of(&text(&path)?).ok_or_else(|| unreadable(&path, "Pss"))
    }

    /// How many files it may have open.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn files_max(self) -> Result<u64, MachineError> {
        let path = self.file("limits");
        files_of(&text(&path)?).ok_or_else(|| unreadable(&path, "Max open files"))
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }
}

fn text(path: &Path) -> Result<String, MachineError> {
    std::fs::read_to_string(path).map_err(|fault| MachineError::File { path: path.to_owned(), fault })
}

fn unreadable(path: &Path, what: &'static str) -> MachineError {
    MachineError::Unreadable { path: path.to_owned(), what }
}

/// From `/proc/PID/stat`: the fields 14 and 15. The second is a name in parentheses, which may hold anything.
fn cpu_of(stat: &str, ticks_per_second: u64) -> Option<Cpu> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut us = || Some(fields.next()?.parse::<u64>().ok()? * 1_000_000 / ticks_per_second);
    Some(Cpu { user_us: us()?, system_us: us()? })
}

/// From the first line of `/proc/stat`: user, nice, system, idle, waiting for disks, interrupts (two), stolen.
fn processors_of(stat: &str) -> Option<Processors> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let [_, _, _, idle, waiting, _, _, stolen] = ticks[..] else { return None };
    Some(Processors { all: ticks.iter().sum(), idle: idle + waiting, stolen })
}

/// From `/proc/PID/smaps_rollup`: `Pss:    1234 kB`.
fn memory_of(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// From `/proc/PID/limits`: `Max open files   1024   20000   files`; the first is the one that counts.
fn files_of(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// From `/proc/net/tcp` and `tcp6`: the inodes of sockets that listen (state 0A) on a port.
fn listeners_of(table: &str, port: u16) -> BTreeSet<u64> {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, at) = fields.get(1)?.rsplit_once(':')?;
        let listens = *fields.get(3)? == "0A" && u16::from_str_radix(at, 16).ok()? == port;
        listens.then(|| fields.get(9)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_of_a_port_is_found_and_a_free_port_has_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Process::listening(port).unwrap(), Process::own());
        drop(listener);
        assert!(matches!(Process::listening(port), Err(MachineError::Nobody(free)) if free == port));
    }

    #[test]
    fn tables_of_sockets_are_read_as_the_kernel_writes_them() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
            1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n\
            2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";
        assert_eq!(listeners_of(table, 8080), BTreeSet::from([4711]));
        assert_eq!(listeners_of("", 8080), BTreeSet::new());
    }

    #[test]
    fn a_process_is_told_by_its_files() {
        let stat = "77 (a) name (x) S 1 77 77 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 3 0 100 1 2";
        assert_eq!(cpu_of(stat, 100), Some(Cpu { user_us: 2_500_000, system_us: 500_000 }));
        assert_eq!(cpu_of("nonsense", 100), None);
        assert_eq!(memory_of("00400000-7ff r--p\nRss: 99 kB\nPss:     2048 kB\nPss_Dirty: 1 kB\n"), Some(2 << 20));
        assert_eq!(files_of("Max processes 1 1 x\nMax open files            1024     20000    files\n"), Some(1_024));
        let cpu = "cpu  100 0 50 800 30 5 5 10 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(processors_of(cpu), Some(Processors { all: 1_000, idle: 830, stolen: 10 }));
    }

    #[test]
    fn this_process_can_be_measured() {
        let own = Process::own();
        let before = own.cpu().unwrap();
        let began = std::time::Instant::now();
        let mut sum = 0_u64;
        while began.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(own.cpu().unwrap().since(before).total_us() >= 20_000);
        assert!(own.memory_bytes().unwrap() > 100_000 && own.files_max().unwrap() > 64);
        assert!(Process::with_id(u32::MAX).is_err());
        let busy = Processors::now().unwrap().busy_since(Processors::default());
        assert!((0.0..=1.0).contains(&busy), "{busy}");
    }
}
