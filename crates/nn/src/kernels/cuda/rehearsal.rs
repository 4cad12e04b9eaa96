//! Kernels run on the CPU: a C++ compiler reads them as they are, and a program runs their threads one after another. What a
//! GPU adds (many threads at once, its own arithmetic) is checked on one, by `cargo xtask gpu-check`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use super::{Expression, KERNELS, Windows, head};

/// What the kernels compute in.
pub(crate) trait Number: Copy {
    const C: &'static str;
    fn bytes(self) -> Vec<u8>;
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($type:ty, $name:literal) => {
        impl Number for $type {
            const C: &'static str = $name;
            fn bytes(self) -> Vec<u8> {
                self.to_ne_bytes().to_vec()
            }
            fn of(bytes: &[u8]) -> Self {
                Self::from_ne_bytes(bytes.try_into().unwrap())
            }
        }
    };
}

number!(f32, "float");
number!(f64, "double");

/// Every pair (and third) of values by an expression, its two kernels; nothing where there is no C++ compiler.
pub(crate) fn rehearse<T: Number + PartialEq>(
    expression: Expression,
    values: [&[T]; 3],
) -> Option<Vec<T>> {
    let program = program_of::<T>(Some(expression))?;
    let numbers = expression.numbers.map(|number| format!("{number:e}"));
    let count = values[0].len();
    let [pairs, in_place] =
        ["pairs", "in_place"].map(|kernel| run(&program, kernel, &values, &numbers, count));
    assert!(bytes(&pairs) == bytes(&in_place), "{}", expression.text);
    Some(pairs)
}

/// An expression of values `[rows, channels]` and three numbers of each channel; nothing where there is no C++ compiler.
pub(crate) fn rehearse_by_channel(
    expression: Expression,
    [a, b]: [&[f64]; 2],
    numbers: [&[f64]; 3],
) -> Option<Vec<f64>> {
    let program = program_of::<f64>(Some(expression))?;
    let inputs = [a, b, &numbers.concat()];
    Some(run(&program, "by_channel", &inputs, &[], a.len()))
}

/// Its sums over the rows, in parts of so many; of numbers there are two.
pub(crate) fn rehearse_sum_by_channel(
    expression: Expression,
    [a, b]: [&[f64]; 2],
    numbers: [&[f64]; 2],
    part: usize,
) -> Option<Vec<f64>> {
    let program = program_of::<f64>(Some(expression))?;
    let (inputs, count) = ([a, b, &numbers.concat()], numbers[0].len());
    Some(run(
        &program,
        "sum_by_channel",
        &inputs,
        &[part.to_string()],
        count,
    ))
}

/// A kernel on these inputs; nothing where there is no C++ compiler.
pub(crate) fn rehearse_kernel<T: Number>(
    kernel: &str,
    inputs: &[&[T]],
    windows: Windows,
    count: usize,
) -> Option<Vec<T>> {
    let Windows {
        height,
        width,
        channels,
        kernel: [kh, kw],
        stride: [sh, sw],
        padding: [ph, pw],
        dilation: [dh, dw],
        out_height,
        out_width,
    } = windows;
    let numbers = [
        height, width, channels, kh, kw, sh, sw, ph, pw, dh, dw, out_height, out_width,
    ];
    rehearse_with(kernel, inputs, &numbers, count)
}

/// The same for a kernel that takes other numbers.
pub(crate) fn rehearse_with<T: Number>(
    kernel: &str,
    inputs: &[&[T]],
    numbers: &[u32],
    count: usize,
) -> Option<Vec<T>> {
    let program = program_of::<T>(None)?;
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    Some(run(&program, kernel, inputs, &numbers, count))
}

fn bytes<T: Number>(values: &[T]) -> Vec<u8> {
    values.iter().flat_map(|value| value.bytes()).collect()
}

fn run<T: Number>(
    program: &PathBuf,
    kernel: &str,
    inputs: &[&[T]],
    numbers: &[String],
    count: usize,
) -> Vec<T> {
    let mut child = Command::new(program)
        .arg(kernel)
        .arg(count.to_string())
        .args(numbers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut sent = Vec::new();
    for input in inputs {
        sent.extend((input.len() as u64).to_ne_bytes());
        sent.extend(bytes(input));
    }
    child.stdin.take().unwrap().write_all(&sent).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{kernel}: {}", output.status);
    let values = output.stdout.chunks_exact(size_of::<T>());
    let values: Vec<T> = values.map(T::of).collect();
    assert_eq!(values.len(), count);
    values
}

/// The program that runs the kernels, beside the tests' own and kept there.
fn program_of<T: Number>(expression: Option<Expression>) -> Option<PathBuf> {
    let text = [
        include_str!("rehearsal.cpp"),
        &head(T::C),
        KERNELS,
        &expression.map_or_else(String::new, Expression::kernels),
        include_str!("rehearsal_main.cpp"),
    ]
    .concat();
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    let folder = env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = folder.join(format!("rehearsal-{:016x}", hash.finish()));
    if program.exists() {
        return Some(program);
    }
    let part = program.with_extension(format!("{:?}", thread::current().id()));
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let child = Command::new(&compiler)
        .args(["-x", "c++", "-std=c++17", "-O1", "-ffp-contract=off", "-o"])
        .arg(&part)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: there is no C++ compiler ({compiler}) to run CUDA kernels on the CPU");
        return None;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    fs::rename(&part, &program).unwrap();
    Some(program)
}

mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn axes_change_places(outer in 1usize..4, a in 1usize..5, b in 1usize..5) {
            let values: Vec<f64> = (0..outer * a * b).map(|i| i as f64).collect();
            let at = |o: usize, i: usize, j: usize| values[(o * a + i) * b + j];
            let expected: Vec<f64> = (0..outer)
                .flat_map(|o| (0..b).flat_map(move |j| (0..a).map(move |i| (o, i, j))))
                .map(|(o, i, j)| at(o, i, j))
                .collect();
            let numbers = [a as u32, b as u32];
            if let Some(found) = rehearse_with("swapped", &[&values], &numbers, values.len()) {
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_bias_for_each_channel_and_nothing_below_zero() {
        let (values, bias) = ([1.0, -3.0, 2.0, 5.0, -1.0, 0.5], [-1.0, 2.0, 0.25]);
        let with = |relu: u32| rehearse_with("epilogue", &[&values[..], &bias], &[3, relu], 6);
        if let (Some(plain), Some(rectified)) = (with(0), with(1)) {
            assert_eq!(plain, [0.0, -1.0, 2.25, 4.0, 1.0, 0.75]);
            assert_eq!(rectified, [0.0, 0.0, 2.25, 4.0, 1.0, 0.75]);
        }
    }
}
