use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// The target of all Rust guests.
const TARGET: &str = "wasm32-unknown-unknown";

/// Forces one of the ways to a Rust compiler: `rustup` or `debian`.
const CHOICE: &str = "BAILEY_GUEST_TOOLCHAIN";

/// The linker of the Debian packages.
const DEBIAN_LINKER: &str = "wasm-ld-22";

/// What the compiler for guests is made of on Debian.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// How long `rustup` may take to fetch the target.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to do where there is no compiler for guests.
const MISSING: &str = "the Rust target `wasm32-unknown-unknown` is missing and cannot be added. Either run \
    `rustup target add wasm32-unknown-unknown`, or on Debian \
    `apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld-22`";

/// A Rust compiler that can build guests.
pub enum Rust {
    /// The one in use, with the target installed.
    Installed,
    /// Debian's, which brings sources of the standard library instead of the target.
    Debian,
}

impl Rust {
    /// The first that works: the target is installed, `rustup` can install it, Debian's packages are there or
    /// can be installed.
    pub fn find() -> anyhow::Result<Self> {
        let choice = std::env::var(CHOICE).unwrap_or_default();
        let installed = || has_target() || (add_target() && has_target());
        match choice.as_str() {
            "" if installed() => Ok(Self::Installed),
            "" | "debian" if has_debian() || (install_debian() && has_debian()) => Ok(Self::Debian),
            "rustup" if installed() => Ok(Self::Installed),
            "" | "debian" | "rustup" => bail!(MISSING),
            other => bail!("`{CHOICE}` is `{other}`, `rustup` or `debian` would pass"),
        }
    }

    /// The compiler's version, as it says itself.
    pub fn version(&self) -> anyhow::Result<String> {
        let output = self.command("rustc").arg("-vV").output().context("`rustc` cannot be run")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Builds these packages and gives the folder of their modules.
    pub fn build(&self, root: &Path, packages: &[&str]) -> anyhow::Result<PathBuf> {
        let target_dir = target_folder(root).join(match self {
            Self::Installed => "guests",
            Self::Debian => "guests-debian",
        });
        let mut command = self.command("cargo");
        // The working directory brings `.cargo/config.toml` in.
        command.current_dir(root).args(["build", "--locked", "--profile", "guest", "--target", TARGET]);
        command.arg("--target-dir").arg(&target_dir);
        for package in packages {
            command.args(["--package", package]);
        }
        if matches!(self, Self::Debian) {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        let status = command.status().context("`cargo` cannot be run")?;
        ensure!(status.success(), "the guests do not build, see above");
        Ok(target_dir.join(TARGET).join("guest"))
    }

    fn command(&self, program: &str) -> Command {
        match self {
            Self::Installed => Command::new(in_use(program)),
            Self::Debian => {
                let mut command = Command::new(format!("/usr/bin/{program}"));
                let old = std::env::var_os("PATH").unwrap_or_default();
                let mut path = OsString::from("/usr/bin:");
                path.push(old);
                command.env("PATH", path).env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER);
                for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC_WRAPPER", "RUSTFLAGS"] {
                    command.env_remove(variable);
                }
                command
            }
        }
    }
}

/// The program that this one was started with: Cargo tells its own path.
fn in_use(program: &str) -> OsString {
    match (program, std::env::var_os("CARGO"), std::env::var_os("RUSTC")) {
        ("cargo", Some(path), _) | ("rustc", _, Some(path)) => path,
        _ => program.into(),
    }
}

fn has_target() -> bool {
    let output =
        Command::new(in_use("rustc")).args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// Asks `rustup` for the target; without a network it would wait for long.
fn add_target() -> bool {
    println!("adding the Rust target {TARGET}");
    let Ok(mut rustup) = Command::new("rustup").args(["target", "add", TARGET]).spawn() else { return false };
    let start = Instant::now();
    loop {
        match rustup.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(100)),
            Ok(None) | Err(_) => {
                let _ = rustup.kill();
                let _ = rustup.wait();
                return false;
            }
        }
    }
}

/// Installs Debian's packages, where this is Debian and we are root.
fn install_debian() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !root || !Path::new("/etc/debian_version").is_file() {
        return false;
    }
    println!("installing {}", DEBIAN_PACKAGES.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--assume-yes"]).args(arguments);
        command.status().is_ok_and(|status| status.success())
    };
    let install = [&["install", "--no-install-recommends"][..], &DEBIAN_PACKAGES[..]].concat();
    apt(&["update"]) && apt(&install)
}

fn has_debian() -> bool {
    let works = |program: &str, argument: &str| Command::new(program).arg(argument).output().is_ok();
    let sources =
        Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).env_remove("RUSTUP_TOOLCHAIN").output();
    works("/usr/bin/cargo", "--version")
        && works(DEBIAN_LINKER, "--version")
        && sources.is_ok_and(|output| {
            let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Path::new(&sysroot).join("lib/rustlib/src/rust/library/std").is_dir()
        })
}

/// Where what is built stays: as Cargo has it.
fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// A Go compiler.
pub struct Go(String);

impl Go {
    /// The one on the path, where there is one.
    pub fn find() -> Option<Self> {
        let output =
            Command::new("go").arg("version").output().ok().filter(|output| output.status.success())?;
        Some(Self(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    /// The compiler's version, as it says itself.
    pub fn version(&self) -> &str {
        &self.0
    }

    /// Builds a module whose exports the host calls after `_initialize`.
    pub fn build(&self, root: &Path, folder: &Path) -> anyhow::Result<Vec<u8>> {
        let target = target_folder(root);
        std::fs::create_dir_all(&target)?;
        let module = std::path::absolute(target.join("go.wasm"))?;
        let mut command = Command::new("go");
        command
            .current_dir(folder)
            .env("GOOS", "wasip1")
            .env("GOARCH", "wasm")
            .env("GOFLAGS", "-mod=readonly");
        command
            .args(["build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-s -w", "-o"])
            .arg(&module)
            .arg(".");
        let status = command.status().context("`go` cannot be run")?;
        ensure!(status.success(), "`{}` does not build, see above", folder.display());
        Ok(std::fs::read(&module)?)
    }
}
