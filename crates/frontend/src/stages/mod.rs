//! The stages there are, by name.

mod affine;
mod clip;
mod crop;
mod decibel;
mod fbank;
mod level;
mod log;
mod mel;
mod normalize;
mod power;
mod quantile;
mod stft;

use std::fmt::Debug;

use serde::de::DeserializeOwned;

use crate::{Axes, Result, Signal};

/// What a stage does to signals with certain axes.
pub struct Planned {
    /// The axes of what it gives.
    pub axes: Axes,
    /// What it does.
    pub run: Box<dyn Fn(Signal) -> Result<Signal> + Send + Sync>,
    /// Whether it is for one window, after the recording has been cut into them.
    pub of_window: bool,
}

impl Planned {
    /// A stage that treats real values alike, wherever they stand.
    fn of_values(axes: Axes, each: impl Fn(&mut [f32]) + Send + Sync + 'static) -> Self {
        let run = move |mut signal: Signal| {
            match &mut signal {
                Signal::Samples(samples) => each(samples),
                Signal::Plane(plane) => match plane.as_slice_memory_order_mut() {
                    Some(values) => each(values),
                    None => {
                        let mut whole = plane.as_standard_layout().into_owned();
                        if let Some(values) = whole.as_slice_mut() {
                            each(values);
                        }
                        *plane = whole;
                    }
                },
                Signal::Spectrum(_) => {}
            }
            Ok(signal)
        };
        Planned {
            axes,
            run: Box::new(run),
            of_window: false,
        }
    }
}

/// One step from a recording to features: its parameters, as they stand in TOML.
pub trait Stage: Debug + Send + Sync {
    /// What it does to signals with these axes.
    ///
    /// # Errors
    /// Says what is wrong and what to do, if it cannot follow such signals.
    fn plan(&self, axes: &Axes) -> std::result::Result<Planned, String>;

    /// Whether it makes each frame of the samples around the frame's time alone, as many before as behind.
    fn is_local(&self) -> bool {
        false
    }
}

type Make = fn(toml::Table) -> std::result::Result<Box<dyn Stage>, toml::de::Error>;

fn of<S: Stage + DeserializeOwned + 'static>(
    parameters: toml::Table,
) -> std::result::Result<Box<dyn Stage>, toml::de::Error> {
    Ok(Box::new(parameters.try_into::<S>()?))
}

/// Every stage.
const STAGES: &[(&str, Make)] = &[
    ("affine", of::<affine::Affine>),
    ("clip", of::<clip::Clip>),
    ("crop", of::<crop::Crop>),
    ("decibel", of::<decibel::Decibel>),
    ("fbank", of::<fbank::Fbank>),
    ("level", of::<level::Level>),
    ("log", of::<log::Log>),
    ("mel", of::<mel::Mel>),
    ("normalize", of::<normalize::Normalize>),
    ("power", of::<power::Power>),
    ("quantile", of::<quantile::Quantile>),
    ("stft", of::<stft::Stft>),
];

/// What the stages are called.
pub fn stages() -> impl Iterator<Item = &'static str> {
    STAGES.iter().map(|(name, _)| *name)
}

/// A stage by its name.
pub(crate) fn make(
    op: &str,
    parameters: toml::Table,
) -> std::result::Result<Box<dyn Stage>, String> {
    let known = STAGES.iter().find(|(name, _)| *name == op);
    let (_, make) = known.ok_or_else(|| {
        let names: Vec<&str> = stages().collect();
        format!("there is no such stage; there are {}", names.join(", "))
    })?;
    make(parameters).map_err(|error| error.message().to_owned())
}

/// What a stage that wants real values over frequency says of others.
fn wants_plane(axes: &Axes) -> std::result::Result<(), String> {
    match (axes.are_samples(), axes.is_complex) {
        (true, _) => {
            Err("wants frequencies, and gets samples: put `stft` and `power` before it".into())
        }
        (false, true) => {
            Err("wants real values, and gets complex ones: put `power` before it".into())
        }
        (false, false) => Ok(()),
    }
}

/// What a stage that wants real values says of others.
fn wants_real(axes: &Axes) -> std::result::Result<(), String> {
    match axes.is_complex {
        true => Err("wants real values, and gets complex ones: put `power` before it".into()),
        false => Ok(()),
    }
}

/// What a stage that wants samples says of others.
fn wants_samples(axes: &Axes) -> std::result::Result<(), String> {
    match axes.are_samples() {
        true => Ok(()),
        false => Err("wants samples, and gets frequencies: put it before them".into()),
    }
}
