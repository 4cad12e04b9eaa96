//! What the measurements ran on.

use std::process::Command;

use candle_core::{Device, DeviceLocation};

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

/// The card's model and its driver, as NVIDIA's tool names them; nothing of other devices.
pub fn card(device: &Device) -> String {
    let DeviceLocation::Cuda { gpu_id } = device.location() else {
        return "none".into();
    };
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=name,driver_version", "--format=csv,noheader"])
        .args(["--id", &gpu_id.to_string()])
        .output();
    let output = output.ok().filter(|output| output.status.success());
    output.map_or_else(
        || "unknown".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
