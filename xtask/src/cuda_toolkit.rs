//! `cargo xtask cuda-toolkit`: NVIDIA's compiler and libraries from PyPI, and the environment to build with `--features cuda`.
//!
//! They come as Python wheels that share one folder. What the wheels lack is made: `lib64`, the names without version that a
//! linker asks for, and a stand-in for the driver's own library, which only a machine with a GPU has.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::repository;

/// The wheels, all of CUDA 13.0, whose code drivers of the 580 series and later load.
const PACKAGES: [&str; 8] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-nvrtc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
    "nvidia-cublas==13.1.0.3",
    "nvidia-curand==10.4.0.35",
];

/// Where the wheels put what they bring.
const TOOLKIT: &str = "nvidia/cu13";

/// The lists of the wheels that are installed, written when all is done.
const COMPLETE: &str = "complete.txt";

/// What the driver's functions answer in the stand-in: `CUDA_ERROR_STUB_LIBRARY`.
const STUB_LIBRARY: u32 = 34;

/// Install NVIDIA's compiler and libraries from PyPI under target/cuda, and print the environment to build for GPUs.
///
/// No GPU and no CUDA installation is needed, only python3 with pip and a C++ compiler. In a shell:
///
///   eval "$(cargo xtask cuda-toolkit)" && cargo build --release --workspace --features cuda
#[derive(clap::Args)]
pub struct Arguments {
    /// The GPU's compute capability to compile for, 80 for 8.0 (A100), 90 for 9.0 (H100); later GPUs run it too.
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u32).range(75..))]
    compute_cap: u32,
}

/// Installs what is missing and prints the environment as shell commands.
pub fn run(arguments: &Arguments) -> Result<()> {
    let home = repository::root().join("target/cuda");
    if !is_complete(&home) {
        install(&home)?;
    }
    let toolkit = home.join(TOOLKIT);
    print!(
        "{}",
        environment(&toolkit, arguments.compute_cap, has_driver())
    );
    Ok(())
}

fn is_complete(home: &Path) -> bool {
    fs::read_to_string(home.join(COMPLETE)).is_ok_and(|list| list == PACKAGES.join("\n"))
}

/// Installs beside the folder and renames, so that it is whole or absent.
fn install(home: &Path) -> Result<()> {
    let parent = home.parent().context("target/cuda has a parent")?;
    fs::create_dir_all(parent)?;
    let part = tempfile::Builder::new()
        .prefix("cuda.part")
        .tempdir_in(parent)?;
    eprintln!(
        "fetching NVIDIA's compiler and libraries from PyPI into {} (0.7 GB)",
        home.display()
    );
    let pip = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ])
        .args(["--only-binary", ":all:", "--target"])
        .arg(part.path())
        .args(PACKAGES)
        .stdout(Stdio::null())
        .status();
    match pip {
        Ok(status) if status.success() => {}
        Ok(status) => bail!("pip could not install {}: {status}", PACKAGES.join(", ")),
        Err(error) => bail!("python3 with pip is needed to fetch the CUDA toolkit: {error}"),
    }
    complete(&part.path().join(TOOLKIT))?;
    fs::write(part.path().join(COMPLETE), PACKAGES.join("\n"))?;
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("replacing {}", home.display()))?;
    }
    fs::rename(part.keep(), home).with_context(|| format!("writing {}", home.display()))
}

/// Adds what the wheels lack of a CUDA installation.
fn complete(toolkit: &Path) -> Result<()> {
    let lib = toolkit.join("lib");
    let libraries = fs::read_dir(&lib).with_context(|| format!("reading {}", lib.display()))?;
    let mut libraries: Vec<_> = libraries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    libraries.sort();
    for library in libraries {
        let Some((name, _)) = library.to_str().and_then(|name| name.split_once(".so.")) else {
            continue;
        };
        link(Path::new(&library), &lib.join(format!("{name}.so")))?;
    }
    link(Path::new("lib"), &toolkit.join("lib64"))?;
    let stubs = lib.join("stubs");
    fs::create_dir_all(&stubs)?;
    let header = toolkit.join("include/cuda.h");
    let header =
        fs::read_to_string(&header).with_context(|| format!("reading {}", header.display()))?;
    stub(&header, &stubs)
}

#[cfg(unix)]
fn link(target: &Path, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, link).with_context(|| format!("linking {}", link.display()))
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> Result<()> {
    bail!("the CUDA toolkit is set up on Linux only; elsewhere, install NVIDIA's own")
}

/// The stand-in for the driver's library: every function of its header says that it is one.
fn stub(header: &str, folder: &Path) -> Result<()> {
    let mut source = String::new();
    for function in functions(header) {
        writeln!(source, "int {function}(void) {{ return {STUB_LIBRARY}; }}")?;
    }
    let file = folder.join("libcuda.c");
    fs::write(&file, source)?;
    let library = folder.join("libcuda.so.1");
    let cc = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wl,-soname,libcuda.so.1", "-o"])
        .args([&library, &file])
        .status();
    match cc {
        Ok(status) if status.success() => {
            link(Path::new("libcuda.so.1"), &folder.join("libcuda.so"))
        }
        Ok(status) => bail!("cc could not compile {}: {status}", file.display()),
        Err(error) => bail!("a C compiler (cc) is needed for the CUDA toolkit: {error}"),
    }
}

/// Names in the driver's header that begin as its functions do: those that are declared, and those that they are macros for.
fn functions(header: &str) -> BTreeSet<&str> {
    let words = header.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named = |word: &&str| {
        let rest = word.strip_prefix("cu");
        rest.is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase()))
    };
    words.filter(named).collect()
}

/// Whether the machine has the driver, or its library. `ldconfig` may stand where a user's PATH does not lead.
fn has_driver() -> bool {
    let lists = |ldconfig: &str| {
        let cache = Command::new(ldconfig).arg("-p").output();
        cache.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("libcuda.so.1 "))
    };
    Path::new("/proc/driver/nvidia").exists() || lists("ldconfig") || lists("/sbin/ldconfig")
}

/// What a shell sets before it builds or runs: the toolkit, and the stand-in where there is no driver.
fn environment(toolkit: &Path, compute_cap: u32, driver: bool) -> String {
    let mut libraries: Vec<PathBuf> = vec![toolkit.join("lib64")];
    if !driver {
        libraries.push(toolkit.join("lib64/stubs"));
    }
    let libraries: Vec<_> = libraries
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    format!(
        "export CUDA_HOME='{toolkit}'\n\
         export CUDA_COMPUTE_CAP={compute_cap}\n\
         export PATH='{toolkit}/bin':\"$PATH\"\n\
         export LD_LIBRARY_PATH='{libraries}'\"${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n",
        toolkit = toolkit.display(),
        libraries = libraries.join(":"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
        #define cuMemAlloc cuMemAlloc_v2\n\
        CUresult CUDAAPI cuInit(unsigned int Flags);\n\
        CUresult CUDAAPI cuMemAlloc(CUdeviceptr *dptr, size_t bytesize);\n\
        /* custom: cudaMalloc */ typedef int CUdevice;\n";

    #[test]
    fn the_stand_in_has_the_functions_of_the_header() {
        let found: Vec<_> = functions(HEADER).into_iter().collect();
        assert_eq!(found, ["cuInit", "cuMemAlloc", "cuMemAlloc_v2"]);
    }

    #[test]
    fn the_stand_in_is_used_where_there_is_no_driver() {
        let toolkit = Path::new("/toolkit");
        let without = environment(toolkit, 90, false);
        assert!(without.contains("LD_LIBRARY_PATH='/toolkit/lib64:/toolkit/lib64/stubs'"));
        assert!(without.contains("CUDA_COMPUTE_CAP=90\n"));
        assert!(!environment(toolkit, 90, true).contains("stubs"));
    }

    #[cfg(unix)]
    #[test]
    fn what_the_wheels_lack_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let lib = folder.path().join("lib");
        fs::create_dir_all(folder.path().join("include")).unwrap();
        fs::create_dir_all(&lib).unwrap();
        fs::write(folder.path().join("include/cuda.h"), HEADER).unwrap();
        fs::write(lib.join("libcurand.so.10"), "curand").unwrap();
        complete(folder.path()).unwrap();
        let read = |path: &str| fs::read(folder.path().join(path));
        assert_eq!(read("lib64/libcurand.so").unwrap(), b"curand");
        let driver = read("lib64/stubs/libcuda.so").unwrap();
        assert!(driver.windows(13).any(|bytes| bytes == b"cuMemAlloc_v2"));
    }
}
