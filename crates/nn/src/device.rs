use candle_core::{Device, DeviceLocation};

use crate::{Error, Result};

/// The device of this name: `cpu`, `cuda:N`, or `auto`, the first CUDA device where there is one and else the CPU.
///
/// # Errors
/// If the name is another, or this build or machine has no such device.
pub fn device(name: &str) -> Result<Device> {
    let unknown = |problem: String| Error::Device {
        name: name.to_owned(),
        problem,
    };
    match (name, name.strip_prefix("cuda:").map(str::parse)) {
        ("auto", _) => Ok(Device::cuda_if_available(0)?),
        ("cpu", _) => Ok(Device::Cpu),
        (_, Some(Ok(number))) => {
            Device::new_cuda(number).map_err(|error| unknown(error.to_string()))
        }
        _ => Err(unknown("say auto, cpu or cuda:N".into())),
    }
}

/// What [`device`] calls a device.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn unknown_devices_are_named() {
        assert!(super::device("cpu").unwrap().is_cpu());
        for name in ["gpu", "cuda:x", "cuda"] {
            assert!(super::device(name).unwrap_err().to_string().contains(name));
        }
    }
}
