//! What the first bytes of a program say about where it runs.
//!
//! Owns: ELF, PE, Mach-O and WebAssembly headers, and the tables of which of them run on which OCI platform. Pure. Never:
//! looks further into a file than its header, or takes what it cannot name for wrong.

use super::tables::{self, machine_name};
use crate::oci::Platform;

/// Bytes of a file that are enough for its header; an interpreter's name may be further in.
pub const HEAD_BYTES: usize = 4096;
/// Longest name of an ELF interpreter: Linux's `PATH_MAX`.
const INTERPRETER_BYTES: u64 = 4096;
/// Program headers that are looked at; compilers write about ten.
const PROGRAM_HEADERS: u64 = 128;

/// A program, told by its header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// Linux, the BSDs, illumos.
    Elf(Elf),
    /// Windows.
    Pe {
        /// `IMAGE_FILE_HEADER.Machine`.
        machine: u16,
    },
    /// macOS.
    MachO {
        /// `cputype` of each part; one, unless it is a universal binary.
        cpus: Vec<u32>,
    },
    /// WebAssembly, a module or a component.
    Wasm,
}

/// The part of an ELF header that says where it runs (System V gABI, chapter 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Elf {
    /// `EI_CLASS` is `ELFCLASS64`.
    pub is_64: bool,
    /// `EI_DATA` is `ELFDATA2LSB`.
    pub is_little: bool,
    /// `EI_OSABI`.
    pub os_abi: u8,
    /// `e_type`.
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
}

/// Whether a program runs on a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does, natively or as the 32-bit code of a 64-bit system.
    Runs,
    /// The machine is right, but the platform does not promise what the program needs.
    Doubtful(&'static str),
    /// It does not.
    Foreign,
    /// Nothing is known of the platform or the format there.
    Unknown,
}

/// Where an ELF file has the name of its interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Length in bytes, the final NUL included.
    pub len: usize,
}

impl Program {
    /// Tells a program by the first [`HEAD_BYTES`] of a file, or all of a smaller one.
    pub fn parse(head: &[u8]) -> Option<Self> {
        match head {
            [0x7f, b'E', b'L', b'F', ..] => Elf::parse(head).map(Self::Elf),
            [b'M', b'Z', ..] => pe_machine(head).map(|machine| Self::Pe { machine }),
            [0, b'a', b's', b'm', ..] if head.len() >= 8 => Some(Self::Wasm),
            _ => mach_o(head).map(|cpus| Self::MachO { cpus }),
        }
    }

    /// Returns whether it runs on a platform.
    pub fn fits(&self, platform: &Platform) -> Fit {
        let platform = platform.normalize();
        let (os, arch) = (platform.os.as_str(), platform.architecture.as_str());
        if arch.is_empty() || arch == "unknown" {
            return Fit::Unknown;
        }
        let runs = |runs: bool| if runs { Fit::Runs } else { Fit::Foreign };
        let is_wasm = arch.starts_with("wasm");
        match self {
            Self::Wasm if is_wasm => Fit::Runs,
            // Runtimes take a module out of an image that claims to be the host's (crun, runwasi).
            Self::Wasm => Fit::Unknown,
            Self::Elf(_) if is_wasm || matches!(os, "windows" | "darwin" | "ios") => Fit::Foreign,
            Self::Elf(elf) => elf.fits(os, arch, platform.variant.as_deref()),
            Self::Pe { machine } => match tables::pe(arch) {
                _ if os != "windows" => Fit::Foreign,
                Some(machines) => runs(machines.contains(machine)),
                None => Fit::Unknown,
            },
            Self::MachO { cpus } => match tables::mach_o(arch) {
                _ if os != "darwin" && os != "ios" => Fit::Foreign,
                Some(known) => runs(cpus.iter().any(|cpu| known.contains(cpu))),
                None => Fit::Unknown,
            },
        }
    }

    /// Returns what it is, for people: `AArch64, 64-bit`.
    pub fn describe(&self) -> String {
        match self {
            Self::Elf(elf) => {
                let bits = if elf.is_64 { "64-bit" } else { "32-bit" };
                let order = if elf.is_little { "" } else { " big-endian" };
                format!("{} {bits}{order} ELF", machine_name(elf.machine))
            }
            Self::Pe { machine } => format!("{} Windows", tables::pe_name(*machine)),
            Self::MachO { cpus } => {
                let names: Vec<String> = cpus.iter().map(|cpu| tables::cpu_name(*cpu)).collect();
                format!("{} macOS", names.join("+"))
            }
            Self::Wasm => "WebAssembly".to_owned(),
        }
    }
}

impl Elf {
    /// `ET_REL`: object files and kernel modules, which are linked into something before they run.
    pub const RELOCATABLE: u16 = 1;

    fn parse(head: &[u8]) -> Option<Self> {
        let is_64 = match head.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let is_little = match head.get(5)? {
            1 => true,
            2 => false,
            _ => return None,
        };
        let at = Fields { head, is_little, is_64 };
        Some(Self {
            is_64,
            is_little,
            os_abi: *head.get(7)?,
            kind: at.half(16)?,
            machine: at.half(18)?,
            flags: at.word(if is_64 { 48 } else { 36 })?,
        })
    }

    fn fits(&self, os: &str, arch: &str, variant: Option<&str>) -> Fit {
        let rows = tables::elf(arch);
        if rows.is_empty() {
            return Fit::Unknown;
        }
        if !rows.iter().any(|row| (row.machine, row.is_64, row.is_little) == (self.machine, self.is_64, self.is_little))
        {
            return Fit::Foreign;
        }
        if let Some(doubt) = tables::doubt(self, arch, variant) {
            return Fit::Doubtful(doubt);
        }
        match tables::FOREIGN_TO_LINUX.contains(&self.os_abi) && matches!(os, "linux" | "android") {
            true => Fit::Doubtful("it is marked as a program of another operating system"),
            false => Fit::Runs,
        }
    }

    /// Returns where a program has the name of its interpreter (`PT_INTERP`); none for a static one.
    pub fn interpreter(head: &[u8]) -> Option<Span> {
        let elf = Self::parse(head)?;
        let at = Fields { head, is_little: elf.is_little, is_64: elf.is_64 };
        let (table, size, count) = match elf.is_64 {
            true => (at.address(32)?, at.half(54)?, at.half(56)?),
            false => (at.address(28)?, at.half(42)?, at.half(44)?),
        };
        for number in 0..u64::from(count).min(PROGRAM_HEADERS) {
            let entry = usize::try_from(table.checked_add(number * u64::from(size))?).ok()?;
            if at.word(entry)? != 3 {
                continue;
            }
            let (offset, len) = match elf.is_64 {
                true => (at.address(entry.checked_add(8)?)?, at.address(entry.checked_add(32)?)?),
                false => (at.address(entry.checked_add(4)?)?, at.address(entry.checked_add(16)?)?),
            };
            return (len > 1 && len <= INTERPRETER_BYTES).then_some(Span { offset, len: len as usize });
        }
        None
    }
}

/// Numbers in the file's own byte order.
struct Fields<'a> {
    head: &'a [u8],
    is_little: bool,
    is_64: bool,
}

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.head.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn half(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes(at)?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes(at)?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn address(&self, at: usize) -> Option<u64> {
        if !self.is_64 {
            return self.word(at).map(u64::from);
        }
        let bytes = self.bytes(at)?;
        Some(if self.is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }
}

/// PE format, "MS-DOS Stub" and "COFF File Header": the offset of the signature is at 0x3c. A DOS program has none.
fn pe_machine(head: &[u8]) -> Option<u16> {
    let at = Fields { head, is_little: true, is_64: false };
    let signature = usize::try_from(at.word(0x3c)?).ok()?;
    (at.bytes(signature)? == *b"PE\0\0").then(|| at.half(signature + 4)).flatten()
}

/// `mach-o/loader.h` and `mach-o/fat.h`. A Java class file has the magic of a universal binary; where that has the number
/// of its parts, the class has its version, which is never below 45.
fn mach_o(head: &[u8]) -> Option<Vec<u32>> {
    const MOST_PARTS: u32 = 30;
    let big = Fields { head, is_little: false, is_64: false };
    let little = Fields { head, is_little: true, is_64: false };
    match big.word(0)? {
        0xfeed_face | 0xfeed_facf => Some(vec![big.word(4)?]),
        0xcefa_edfe | 0xcffa_edfe => Some(vec![little.word(4)?]),
        magic @ (0xcafe_babe | 0xcafe_babf) => {
            let size = if magic == 0xcafe_babe { 20 } else { 32 };
            let count = big.word(4).filter(|count| (1..MOST_PARTS).contains(count))? as usize;
            (0..count).map(|number| big.word(8 + number * size)).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
