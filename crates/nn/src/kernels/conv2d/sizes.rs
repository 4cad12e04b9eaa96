use candle_core::Shape;

use crate::kernels::Pair;
#[cfg(any(feature = "cuda", test))]
use crate::kernels::cuda;

/// How windows lie on the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Steps between windows.
    pub stride: Pair,
    /// Zeros on both sides of each axis.
    pub padding: Pair,
    /// Steps between the values of a window.
    pub dilation: Pair,
    /// Parts of equal size into which the channels of input and output fall, each read by its own part alone.
    pub groups: usize,
}

impl Default for Geometry {
    /// Stride and dilation 1, no padding, one group.
    fn default() -> Self {
        Geometry {
            stride: 1.into(),
            padding: 0.into(),
            dilation: 1.into(),
            groups: 1,
        }
    }
}

/// The sizes of one convolution, of one group or of as many as it has channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub geometry: Geometry,
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: Pair,
    pub out_height: usize,
    pub out_width: usize,
}

/// The windows on an axis, with `padding` on both sides.
fn windows(
    length: usize,
    kernel: usize,
    [stride, padding, dilation]: [usize; 3],
) -> candle_core::Result<usize> {
    if [length, kernel, stride, dilation].contains(&0) {
        candle_core::bail!(
            "a convolution on {length} values with a kernel of {kernel}, stride {stride} and dilation {dilation}: none of these may be 0"
        );
    }
    let extent = (kernel - 1) * dilation + 1;
    if length + 2 * padding < extent {
        candle_core::bail!(
            "a kernel that spans {extent} does not fit an input of {length}, padding {padding}"
        );
    }
    let places = length + 2 * padding - extent + 1;
    // A file of a few bytes could else ask for any memory.
    if places > 4 * (length + kernel) {
        candle_core::bail!(
            "a padding of {padding} makes {places} places for a kernel of {kernel} on {length} values, nearly all on padding alone"
        );
    }
    Ok((places - 1) / stride + 1)
}

impl Sizes {
    /// For an input of `[N, H, W, C]`.
    pub fn new(
        input: &Shape,
        outputs: usize,
        kernel: Pair,
        geometry: Geometry,
    ) -> candle_core::Result<Self> {
        let (batch, height, width, inputs) = input.dims4()?;
        let Geometry {
            stride,
            padding,
            dilation,
            ..
        } = geometry;
        if inputs == 0 || outputs == 0 {
            candle_core::bail!("a convolution of {inputs} to {outputs} channels: neither may be 0");
        }
        Ok(Sizes {
            geometry,
            batch,
            height,
            width,
            inputs,
            outputs,
            kernel,
            out_height: windows(
                height,
                kernel.height,
                [stride.height, padding.height, dilation.height],
            )?,
            out_width: windows(
                width,
                kernel.width,
                [stride.width, padding.width, dilation.width],
            )?,
        })
    }

    /// That what is carried back is of the output's shape, `[N, H', W', K]`.
    pub fn check_output(&self, shape: &Shape) -> candle_core::Result<()> {
        let expected = self.output();
        if *shape != expected {
            candle_core::bail!("a convolution's output is {expected:?}, not {shape:?}");
        }
        Ok(())
    }

    /// The output's shape, `[N, H', W', K]`.
    pub fn output(&self) -> Shape {
        Shape::from((self.batch, self.out_height, self.out_width, self.outputs))
    }

    /// The weights' shape, `[K, C, kh, kw]`.
    pub fn weight(&self) -> Shape {
        Shape::from((
            self.outputs,
            self.inputs / self.geometry.groups,
            self.kernel.height,
            self.kernel.width,
        ))
    }

    /// How the windows lie, for NVIDIA devices.
    #[cfg(any(feature = "cuda", test))]
    pub fn windows(&self) -> cuda::Windows {
        cuda::Windows {
            height: self.height as u32,
            width: self.width as u32,
            channels: self.inputs as u32,
            kernel: cuda::pair(self.kernel),
            stride: cuda::pair(self.geometry.stride),
            padding: cuda::pair(self.geometry.padding),
            dilation: cuda::pair(self.geometry.dilation),
            out_height: self.out_height as u32,
            out_width: self.out_width as u32,
        }
    }

    /// Whether every channel is a group.
    pub fn is_depthwise(&self) -> bool {
        self.geometry.groups > 1
    }

    /// Values of one image.
    pub fn image(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Values of one image's output.
    pub fn out_image(&self) -> usize {
        self.out_height * self.out_width * self.outputs
    }

    /// Values in one window.
    pub fn window(&self) -> usize {
        self.kernel.area() * self.inputs
    }

    /// Values of the weights.
    pub fn weights(&self) -> usize {
        self.outputs * self.window()
    }

    /// The side of a square kernel whose windows lie at every place, with equal padding that is less than the side: those
    /// whose transposed map is a convolution of the same kind.
    pub fn square(&self) -> Option<usize> {
        let Geometry {
            stride,
            padding,
            dilation,
            ..
        } = self.geometry;
        let plain = [stride, dilation] == [1.into(); 2];
        let (side, padding) = (self.kernel.single()?, padding.single()?);
        (plain && padding < side && !self.is_depthwise()).then_some(side)
    }

    /// The transposed map of a [`Sizes::square`] convolution: a convolution from the outputs to the inputs.
    pub fn transposed(&self) -> Sizes {
        let padding = self.kernel.height - 1 - self.geometry.padding.height;
        Sizes {
            geometry: Geometry {
                padding: padding.into(),
                ..self.geometry
            },
            height: self.out_height,
            width: self.out_width,
            inputs: self.outputs,
            outputs: self.inputs,
            out_height: self.height,
            out_width: self.width,
            ..*self
        }
    }
}
