//! From candle's storage on an NVIDIA device to our kernels and back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, CudaViewMut, DeviceRepr, LaunchArgs,
    LaunchConfig, ValidAsZeroBits,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaDType, CudaDevice, WrapErr};
use candle_core::{CudaStorage, Error, Layout, Result, WithDType};

use super::{Expression, KERNELS, Stream, Windows, head};
use crate::kernels::cpu::dispatch;

/// What the kernels compute in.
pub(crate) trait Value: WithDType + CudaDType + DeviceRepr + ValidAsZeroBits {
    /// Its name in C.
    const C: &'static str;
}

impl Value for f32 {
    const C: &'static str = "float";
}

impl Value for f64 {
    const C: &'static str = "double";
}

// SAFETY: the same fields in the same order as the structure in `kernels.cu`, all of them u32.
unsafe impl DeviceRepr for Windows {}

// SAFETY: ten u32, as in `kernels.cu`.
unsafe impl DeviceRepr for Stream {}

/// The values of a contiguous tensor.
pub(crate) fn view<'a, T: CudaDType>(
    storage: &'a CudaStorage,
    layout: &Layout,
) -> Result<CudaView<'a, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<T>()?.slice(start..end)),
        None => Err(Error::Msg("the kernel reads contiguous tensors".into()).bt()),
    }
}

/// The same, to be written.
pub(crate) fn view_mut<'a, T: CudaDType>(
    storage: &'a mut CudaStorage,
    layout: &Layout,
) -> Result<CudaViewMut<'a, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice_mut::<T>()?.slice_mut(start..end)),
        None => Err(Error::Msg("the kernel writes contiguous tensors".into()).bt()),
    }
}

/// Room for values that a kernel is to write, every one of them.
pub(crate) fn room<T: DeviceRepr>(device: &CudaDevice, count: usize) -> Result<CudaSlice<T>> {
    // SAFETY: what is read before it is written would be a kernel's mistake; all values of T's are valid.
    unsafe { device.alloc::<T>(count) }
}

/// A kernel that is ready to run on a device.
pub(crate) struct Function {
    function: CudaFunction,
    stream: Arc<CudaStream>,
}

impl Function {
    pub fn builder(&self) -> LaunchArgs<'_> {
        self.stream.launch_builder(&self.function)
    }
}

/// One of the kernels of `kernels.cu`.
pub(crate) fn kernel<T: Value>(device: &CudaDevice, name: &str) -> Result<Function> {
    compiled(device, T::C, name, || head(T::C) + KERNELS)
}

/// One of an expression's kernels, of `expressions.cu`.
pub(crate) fn of_expression<T: Value>(
    device: &CudaDevice,
    name: &str,
    expression: Expression,
) -> Result<Function> {
    let module = format!("{} {}", T::C, expression.text);
    compiled(device, &module, name, || head(T::C) + &expression.kernels())
}

/// A module's function; the module is compiled for the device when first asked for.
fn compiled(
    device: &CudaDevice,
    module: &str,
    name: &str,
    source: impl FnOnce() -> String,
) -> Result<Function> {
    static COMPILED: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);
    let (major, minor) = device.cuda_stream().context().compute_capability().w()?;
    let module = format!("speechlens {major}{minor} {module}");
    let mut all = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    if !all.contains_key(&module) {
        let options = CompileOptions {
            options: vec![format!("--gpu-architecture=compute_{major}{minor}")],
            ..Default::default()
        };
        let ptx = compile_ptx_with_opts(source(), options).w()?;
        all.insert(module.clone(), ptx.to_src());
    }
    Ok(Function {
        function: device
            .get_or_load_custom_func(name, &module, &all[&module])?
            .into_cuda_function(),
        stream: device.cuda_stream(),
    })
}

/// A thread for each of so many items.
pub(crate) fn threads(count: u32) -> LaunchConfig {
    const BLOCK: u32 = 256;
    LaunchConfig {
        grid_dim: (count.div_ceil(BLOCK), 1, 1),
        block_dim: (BLOCK, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// The number of items as the kernels count them.
pub(crate) fn counted(count: usize) -> Result<u32> {
    // Counting on by as many threads again must not overflow.
    match u32::try_from(count) {
        Ok(count) if count < 1 << 31 => Ok(count),
        _ => Err(Error::Msg(format!("{count} values are more than a kernel takes: 2^31")).bt()),
    }
}

/// Runs a function over so many items with these arguments, which must be those that its source declares before `count`.
macro_rules! launch {
    ($function:expr, $count:expr, $($argument:expr),+ $(,)?) => {{
        use candle_core::cuda_backend::WrapErr as _;
        use candle_core::cuda_backend::cudarc::driver::PushKernelArg as _;
        let (function, count) = ($function, $crate::kernels::cuda::counted($count)?);
        if count > 0 {
            let (mut builder, threads) = (function.builder(), $crate::kernels::cuda::threads(count));
            let builder = &mut builder;
            // SAFETY: types and lengths are those that the kernel was written for; it writes outputs alone, inside of them.
            unsafe { builder$(.arg($argument))+.arg(&count).launch(threads) }.w()?;
        }
    }};
}

pub(crate) use launch;

/// A function of three tensors' values at every place. One that it does not read may be any other.
pub(crate) fn expression(
    expression: Expression,
    name: &str,
    [a, b, c]: [(&CudaStorage, &Layout); 3],
) -> Result<CudaStorage> {
    let device = a.0.device();
    Ok(dispatch!(a.0, name, T => {
        let [p, q, r] = expression.numbers.map(<T as WithDType>::from_f64);
        let (a, b, c) = (view::<T>(a.0, a.1)?, view::<T>(b.0, b.1)?, view::<T>(c.0, c.1)?);
        let mut output = room::<T>(device, a.len())?;
        let function = of_expression::<T>(device, "pairs", expression)?;
        launch!(function, a.len(), &a, &b, &c, &mut output, &p, &q, &r);
        CudaStorage::wrap_cuda_slice(output, device.clone())
    }))
}

/// [`expression`] with the result in the place of `a`.
pub(crate) fn expression_in_place(
    expression: Expression,
    name: &str,
    (a, a_layout): (&mut CudaStorage, &Layout),
    [b, c]: [(&CudaStorage, &Layout); 2],
) -> Result<()> {
    let device = a.device().clone();
    dispatch!(a, name, T => {
        let [p, q, r] = expression.numbers.map(<T as WithDType>::from_f64);
        let (b, c) = (view::<T>(b.0, b.1)?, view::<T>(c.0, c.1)?);
        let mut a = view_mut::<T>(a, a_layout)?;
        let (function, count) = (of_expression::<T>(&device, "in_place", expression)?, a.len());
        launch!(function, count, &mut a, &b, &c, &p, &q, &r);
    });
    Ok(())
}

/// A function of two tensors' values `[rows, channels]` and three numbers of each channel. What it does not read may be any.
pub(crate) fn by_channel<T: Value>(
    device: &CudaDevice,
    expression: Expression,
    [a, b]: [&CudaView<T>; 2],
    [p, q, r]: [&CudaView<T>; 3],
) -> Result<CudaStorage> {
    let mut output = room::<T>(device, a.len())?;
    let channels = p.len() as u32;
    let function = of_expression::<T>(device, "by_channel", expression)?;
    launch!(function, a.len(), a, b, p, q, r, &mut output, &channels);
    Ok(CudaStorage::wrap_cuda_slice(output, device.clone()))
}

/// The sums of such a function over the rows, times a factor, in parts and these in order; of numbers there are two, if it
/// reads any.
pub(crate) fn sum_by_channel<T: Value, U: Value>(
    device: &CudaDevice,
    expression: Expression,
    [a, b]: [&CudaView<T>; 2],
    numbers: Option<[&CudaView<f64>; 2]>,
    factor: f64,
    sums: &mut CudaViewMut<U>,
) -> Result<()> {
    /// Sums that are taken at the same time.
    const AT_ONCE: usize = 1 << 16;
    let channels = sums.len();
    let rows = counted(a.len())? as usize / channels;
    let part = (rows * channels).div_ceil(AT_ONCE).max(1);
    let parts = rows.div_ceil(part);
    let unread = device.alloc_zeros::<f64>(channels)?;
    let unread = unread.as_view();
    let [p, q] = numbers.unwrap_or([&unread; 2]);
    let mut of_parts = room::<f64>(device, parts * channels)?;
    let [rows, columns, part] = [rows, channels, part].map(|number| number as u32);
    let function = of_expression::<T>(device, "row_sums", expression)?;
    let count = of_parts.len();
    launch!(
        function,
        count,
        a,
        b,
        p,
        q,
        &mut of_parts,
        &rows,
        &columns,
        &part
    );
    let (function, parts) = (kernel::<U>(device, "total")?, parts as u32);
    launch!(function, channels, &of_parts, sums, &parts, &factor);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NVIDIA's compiler needs no device.
    #[test]
    fn the_compiler_takes_every_kernel() {
        for value in [f32::C, f64::C] {
            let options = || CompileOptions {
                options: vec!["--gpu-architecture=compute_80".into()],
                ..Default::default()
            };
            let entries = |source: String| {
                let ptx = compile_ptx_with_opts(source, options()).unwrap().to_src();
                ptx.matches(".entry").count()
            };
            assert_eq!(entries(head(value) + KERNELS), 11);
            let expression = Expression::of("a * b + c * p + q * r");
            assert_eq!(entries(head(value) + &expression.kernels()), 4);
        }
    }
}
