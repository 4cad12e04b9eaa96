//! Where tensors live and are computed.

use candle_core::{Device, DeviceLocation};

use crate::{Error, Result};

/// The device of this name: `cpu`, `cuda:N`, or `auto`, the first CUDA device where the build and the machine have one and else
/// the CPU.
///
/// # Errors
/// If the name is another, this build or machine has no such device, or the device does not start.
pub fn device(name: &str) -> Result<Device> {
    let of = |found: Result<Device, String>| {
        found.map_err(|problem| Error::Device {
            name: name.to_owned(),
            problem,
        })
    };
    match (name, name.strip_prefix("cuda:").map(str::parse)) {
        ("auto", _) if cuda::count().is_ok_and(|count| count > 0) => of(cuda::device(0)),
        ("auto" | "cpu", _) => Ok(Device::Cpu),
        (_, Some(Ok(number))) => of(cuda::device(number)),
        _ => of(Err("say auto, cpu or cuda:N".into())),
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

/// Whether matrix products in f32 on NVIDIA devices may round their factors to TensorFloat-32, with 10 bits of 23: not unless
/// this says so, for the whole process. It makes no difference elsewhere.
pub fn allow_tf32(allow: bool) {
    #[cfg(feature = "cuda")]
    candle_core::cuda::set_gemm_reduced_precision_f32(allow);
    #[cfg(not(feature = "cuda"))]
    let _ = allow;
}

/// Without CUDA.
#[cfg(not(feature = "cuda"))]
mod cuda {
    use candle_core::Device;

    const NONE: &str = "this build computes on the CPU alone; build it with `--features cuda`, as the README says under GPUs";

    pub fn count() -> Result<usize, String> {
        Err(NONE.into())
    }

    pub fn device(_: usize) -> Result<Device, String> {
        Err(NONE.into())
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use candle_core::Device;
    use candle_core::cuda::cudarc::driver::result::{device as driver, mem_pool};
    use candle_core::cuda::cudarc::driver::sys::{
        CUdevice_attribute, CUmemPool_attribute, CUresult,
    };
    use candle_core::cuda::cudarc::driver::{CudaContext, DriverError};

    pub fn count() -> Result<usize, String> {
        let count = CudaContext::device_count().map_err(problem)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    pub fn device(number: usize) -> Result<Device, String> {
        match count()? {
            0 => return Err("there is no CUDA device".into()),
            count if number >= count => {
                let last = count - 1;
                return Err(format!(
                    "there are {count} CUDA devices: cuda:0 to cuda:{last}"
                ));
            }
            _ => {}
        }
        // A stream of our own: candle's usual one is another one in every thread.
        let device = Device::new_cuda_with_stream(number).map_err(|error| error.to_string())?;
        let cuda = device.as_cuda_device().map_err(|error| error.to_string())?;
        // SAFETY: all tensors of the device are used on its one stream, in the order of the calls.
        unsafe { cuda.disable_event_tracking() };
        keep_memory(number).map_err(problem)?;
        Ok(device)
    }

    /// Memory that tensors freed is kept for the next ones, not given back whenever the device is waited for.
    fn keep_memory(number: usize) -> Result<(), DriverError> {
        let number = driver::get(i32::try_from(number).unwrap_or(0))?;
        let pools = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
        let mut all = u64::MAX;
        // SAFETY: the device is one of the driver's; the attribute is a u64, which the driver copies.
        unsafe {
            if driver::get_attribute(number, pools)? == 0 {
                return Ok(());
            }
            let pool = driver::get_default_mem_pool(number)?;
            let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            mem_pool::set_attribute(pool, threshold, (&raw mut all).cast())
        }
    }

    fn problem(error: DriverError) -> String {
        match error.0 {
            CUresult::CUDA_ERROR_STUB_LIBRARY => {
                "NVIDIA's driver is not installed: libcuda is the toolkit's stand-in".into()
            }
            CUresult::CUDA_ERROR_NO_DEVICE => "there is no CUDA device".into(),
            CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => {
                "NVIDIA's driver and its library are of different versions; restart the machine"
                    .into()
            }
            _ => format!("NVIDIA's driver says {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_devices_are_named() {
        assert!(device("cpu").unwrap().is_cpu());
        for name in ["gpu", "cuda:x", "cuda", "cuda:97"] {
            assert!(device(name).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn auto_is_always_some_device() {
        assert!(["cpu", "cuda:0"].contains(&device_name(&device("auto").unwrap()).as_str()));
    }
}
