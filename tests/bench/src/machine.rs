//! What the machine says: cores, and a process's CPU time and memory.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Parts of a second in which `/proc/PID/stat` counts CPU time (`USER_HZ`, the same on all of today's architectures).
const TICKS_PER_SECOND: f64 = 100.0;
/// Writes that are timed to learn what the disk takes to make one durable.
const SYNC_PROBES: usize = 50;

/// The core that relays run on.
pub(crate) const RELAY_CORE: &str = "0";
/// The core that the generator runs on.
pub(crate) const GENERATOR_CORE: &str = "1";

/// Moves this process to its core, if the machine has two and `taskset` is installed; says whether it did.
pub(crate) fn pin_generator() -> bool {
    let two_cores = std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
    two_cores
        && Command::new("taskset")
            .args(["-acp", GENERATOR_CORE, &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// CPU seconds that a process has used, in user and kernel mode together.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {path} for a relay's CPU time"))?;
    ticks(&stat)
        .map(|ticks| ticks / TICKS_PER_SECOND)
        .with_context(|| format!("{path} has an unknown form: {stat}"))
}

/// User and kernel ticks: the 14th and 15th field of proc_pid_stat(5). The second one, a name in parentheses, may hold
/// spaces.
fn ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let kernel: f64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

/// Memory that a process holds (`VmRSS`), KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmRSS")
}

/// The most memory that a process has ever held (`VmHWM`), KiB.
pub(crate) fn peak_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmHWM")
}

/// Makes a process's peak begin anew at what it holds now: proc_pid_clear_refs(5). An older kernel, or one that forbids it,
/// leaves the peak as it is.
pub(crate) fn forget_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn status_kib(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path} for a relay's memory"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .with_context(|| format!("{path} names no {name}"))
}

/// Checks that so many sockets can be open at once.
pub(crate) fn check_open_files(sockets: u64) -> Result<()> {
    /// Files of a process that are no client's socket: store, log, runtime.
    const OTHER_FILES: u64 = 256;
    let Ok(limits) = fs::read_to_string("/proc/self/limits") else { return Ok(()) };
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).and_then(|soft| soft.parse::<u64>().ok());
    match soft {
        Some(soft) if soft < sockets + OTHER_FILES => bail!(
            "{sockets} connections need more open files than the limit of {soft}; raise it with `ulimit -n {}`, or ask \
             for fewer connections",
            sockets + OTHER_FILES
        ),
        _ => Ok(()),
    }
}

/// What this disk takes to make one small write durable, milliseconds (median).
pub(crate) fn sync_ms(folder: &Path) -> Result<f64> {
    let path = folder.join("sync-probe");
    let mut file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut times: Vec<Duration> = Vec::with_capacity(SYNC_PROBES);
    for _ in 0..SYNC_PROBES {
        let start = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data().with_context(|| format!("syncing {}", path.display()))?;
        times.push(start.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times[SYNC_PROBES / 2].as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 10";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("7 (x) S 1"), None);
    }

    #[test]
    fn this_process_has_cpu_time_and_memory() {
        assert!(cpu_seconds(std::process::id()).is_ok());
        assert!(resident_kib(std::process::id()).unwrap() > 0);
        assert!(peak_kib(std::process::id()).unwrap() > 0);
    }
}
