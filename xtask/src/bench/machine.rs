//! What the measurements ran on.

use std::process::Command;

/// The processor's model, as the system names it.
pub fn processor() -> String {
    let linux = || {
        let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let macos = || {
        let arguments = ["-n", "machdep.cpu.brand_string"];
        let output = Command::new("sysctl").args(arguments).output().ok()?;
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!name.is_empty()).then_some(name)
    };
    linux()
        .or_else(macos)
        .unwrap_or_else(|| format!("unknown processor ({})", std::env::consts::ARCH))
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
