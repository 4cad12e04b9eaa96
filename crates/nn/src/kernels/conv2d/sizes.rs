use candle_core::Shape;

/// How windows lie on the input, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Steps between windows.
    pub stride: usize,
    /// Zeros on every side.
    pub padding: usize,
}

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub geometry: Geometry,
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub out_height: usize,
    pub out_width: usize,
}

impl Sizes {
    /// For an input of `[N, H, W, C]`.
    pub fn new(
        input: &Shape,
        outputs: usize,
        kernel: usize,
        geometry: Geometry,
    ) -> candle_core::Result<Self> {
        let (batch, height, width, inputs) = input.dims4()?;
        let Geometry { stride, padding } = geometry;
        if [stride, kernel, outputs, height, width, inputs].contains(&0) {
            candle_core::bail!(
                "a convolution of {inputs} to {outputs} channels on {height} × {width} with a kernel of {kernel} and stride {stride}: none of these may be 0"
            );
        }
        if height + 2 * padding < kernel || width + 2 * padding < kernel {
            candle_core::bail!(
                "a kernel of {kernel} does not fit an input of {height} × {width}, padding {padding}"
            );
        }
        let out = |length: usize| (length + 2 * padding - kernel) / stride + 1;
        Ok(Sizes {
            geometry,
            batch,
            height,
            width,
            inputs,
            outputs,
            kernel,
            out_height: out(height),
            out_width: out(width),
        })
    }

    /// That what is carried back is of the output's shape, `[N, H', W', K]`.
    pub fn check_output(&self, shape: &Shape) -> candle_core::Result<()> {
        let expected = [self.batch, self.out_height, self.out_width, self.outputs];
        if shape.dims() != expected {
            candle_core::bail!(
                "a convolution's output is {expected:?}, not {:?}",
                shape.dims()
            );
        }
        Ok(())
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
        self.kernel * self.kernel * self.inputs
    }

    /// Values of the weights.
    pub fn weights(&self) -> usize {
        self.outputs * self.window()
    }

    /// The transposed map of a convolution of stride 1: a convolution from the outputs to the inputs.
    pub fn transposed(&self) -> Sizes {
        Sizes {
            geometry: Geometry {
                padding: self.kernel - 1 - self.geometry.padding,
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
