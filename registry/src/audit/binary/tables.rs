//! Which program runs where: tables, each with its source.
//!
//! Owns: the numbers. Pure. Never: parses.

use super::header::Elf;

/// A kind of ELF program that an architecture runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    architecture: &'static str,
    pub(super) machine: u16,
    pub(super) is_64: bool,
    pub(super) is_little: bool,
}

const fn row(architecture: &'static str, machine: u16, bits: u8, order: u8) -> Row {
    Row { architecture, machine, is_64: bits == 64, is_little: order == LITTLE }
}

const LITTLE: u8 = 1;
const BIG: u8 = 2;

/// `e_machine` (gABI "ELF header"; Linux, `include/uapi/linux/elf-em.h`).
const SPARC: u16 = 2;
const I386: u16 = 3;
const MIPS: u16 = 8;
const PPC: u16 = 20;
const PPC64: u16 = 21;
const S390: u16 = 22;
const ARM: u16 = 40;
const SPARC_V9: u16 = 43;
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
const RISCV: u16 = 243;
const LOONGARCH: u16 = 258;

/// Architectures as OCI names them, which are Go's `GOARCH` (image-spec, config.md). The byte orders are those of
/// `internal/goarch`, the 32-bit rows below 64-bit architectures are Linux's `CONFIG_COMPAT` (`arch/*/Kconfig`).
static ELF: [Row; 26] = [
    row("386", I386, 32, LITTLE),
    row("amd64", X86_64, 64, LITTLE),
    // The x32 ABI.
    row("amd64", X86_64, 32, LITTLE),
    row("amd64", I386, 32, LITTLE),
    row("arm", ARM, 32, LITTLE),
    row("armbe", ARM, 32, BIG),
    row("arm64", AARCH64, 64, LITTLE),
    // ILP32.
    row("arm64", AARCH64, 32, LITTLE),
    row("arm64", ARM, 32, LITTLE),
    row("loong64", LOONGARCH, 64, LITTLE),
    row("mips", MIPS, 32, BIG),
    row("mipsle", MIPS, 32, LITTLE),
    row("mips64", MIPS, 64, BIG),
    row("mips64", MIPS, 32, BIG),
    row("mips64le", MIPS, 64, LITTLE),
    row("mips64le", MIPS, 32, LITTLE),
    row("ppc", PPC, 32, BIG),
    row("ppc64", PPC64, 64, BIG),
    row("ppc64", PPC, 32, BIG),
    row("ppc64le", PPC64, 64, LITTLE),
    row("riscv64", RISCV, 64, LITTLE),
    row("riscv", RISCV, 32, LITTLE),
    row("s390x", S390, 64, BIG),
    row("s390x", S390, 32, BIG),
    row("sparc64", SPARC_V9, 64, BIG),
    row("sparc64", SPARC, 32, BIG),
];

/// Returns what an architecture runs; nothing if it is not in the table.
pub(super) fn elf(architecture: &str) -> Vec<&'static Row> {
    ELF.iter().filter(|row| row.architecture == architecture).collect()
}

/// `EI_OSABI` that Linux's own loader is never given: NetBSD, Solaris, IRIX, FreeBSD, OpenBSD (gABI "ELF Identification").
/// Linux's programs have 0 (System V) or 3 (GNU).
pub(super) const FOREIGN_TO_LINUX: [u8; 5] = [2, 6, 8, 9, 12];

/// Returns why a program of the right machine may not run, by its `e_flags`.
pub(super) fn doubt(elf: &Elf, architecture: &str, variant: Option<&str>) -> Option<&'static str> {
    let flags = elf.flags;
    match elf.machine {
        // "ELF for the Arm Architecture", 5.3.1: EF_ARM_ABI_FLOAT_HARD. ARMv5 has no floating-point registers to pass in.
        ARM if architecture == "arm" && variant == Some("v5") && flags & 0x400 != 0 => {
            Some("it passes numbers in floating-point registers, which arm/v5 does not have")
        }
        // MIPS "elf/mips.h" in binutils: EF_MIPS_ABI2 is N32, which a 32-bit system does not run.
        MIPS if !elf.is_64 && matches!(architecture, "mips" | "mipsle") && flags & 0x20 != 0 => {
            Some("it is of the N32 ABI, which 32-bit systems do not have")
        }
        // EF_MIPS_ARCH_32R6 and _64R6: release 6 is another instruction set.
        MIPS if matches!(flags & 0xf000_0000, 0x9000_0000 | 0xa000_0000) => {
            Some("it is of MIPS release 6, which older machines of that name do not run")
        }
        // RISC-V psABI "File Header": EF_RISCV_RVE has half of the registers.
        RISCV if flags & 0x8 != 0 => Some("it is of the embedded ABI with sixteen registers"),
        // "64-Bit ELF V2 ABI", 3.1: little-endian systems are of version 2; 0 says nothing.
        PPC64 if architecture == "ppc64le" && flags & 0x3 == 1 => Some("it is of version 1 of the ELF ABI"),
        _ => None,
    }
}

pub(super) fn machine_name(machine: u16) -> String {
    let name = match machine {
        I386 => "i386",
        MIPS => "MIPS",
        PPC => "PowerPC",
        PPC64 => "PowerPC64",
        S390 => "s390",
        ARM => "ARM",
        SPARC | SPARC_V9 => "SPARC",
        X86_64 => "x86-64",
        AARCH64 => "AArch64",
        RISCV => "RISC-V",
        LOONGARCH => "LoongArch",
        other => return format!("machine {other}"),
    };
    name.to_owned()
}

const PE_I386: u16 = 0x14c;
const PE_ARM: u16 = 0x1c0;
const PE_THUMB: u16 = 0x1c2;
const PE_ARMNT: u16 = 0x1c4;
const PE_AMD64: u16 = 0x8664;
const PE_ARM64: u16 = 0xaa64;
const PE_ARM64EC: u16 = 0xa641;
const PE_ARM64X: u16 = 0xa64e;

/// "PE Format", "Machine Types". What runs on which Windows: WOW64 runs i386 everywhere, and x86-64 on Arm.
pub(super) fn pe(architecture: &str) -> Option<&'static [u16]> {
    match architecture {
        "386" => Some(&[PE_I386]),
        "amd64" => Some(&[PE_AMD64, PE_I386]),
        "arm" => Some(&[PE_ARMNT, PE_ARM, PE_THUMB]),
        "arm64" => Some(&[PE_ARM64, PE_ARM64EC, PE_ARM64X, PE_ARMNT, PE_ARM, PE_THUMB, PE_AMD64, PE_I386]),
        _ => None,
    }
}

pub(super) fn pe_name(machine: u16) -> String {
    let name = match machine {
        PE_I386 => "i386",
        PE_ARM | PE_THUMB | PE_ARMNT => "ARM",
        PE_AMD64 => "x86-64",
        PE_ARM64 | PE_ARM64EC | PE_ARM64X => "AArch64",
        other => return format!("machine {other:#x}"),
    };
    name.to_owned()
}

const CPU_X86: u32 = 7;
const CPU_ARM: u32 = 12;
const CPU_64: u32 = 0x0100_0000;

/// `mach/machine.h`: `CPU_TYPE_*`; `CPU_ARCH_ABI64` marks the 64-bit ones. Rosetta runs x86-64 on Arm.
pub(super) fn mach_o(architecture: &str) -> Option<&'static [u32]> {
    match architecture {
        "386" => Some(&[CPU_X86]),
        "amd64" => Some(&[CPU_X86 | CPU_64, CPU_X86]),
        "arm" => Some(&[CPU_ARM]),
        "arm64" => Some(&[CPU_ARM | CPU_64, CPU_ARM, CPU_X86 | CPU_64]),
        _ => None,
    }
}

pub(super) fn cpu_name(cpu: u32) -> String {
    let name = match cpu {
        CPU_X86 => "i386",
        CPU_ARM => "ARM",
        c if c == CPU_X86 | CPU_64 => "x86-64",
        c if c == CPU_ARM | CPU_64 => "AArch64",
        other => return format!("CPU {other:#x}"),
    };
    name.to_owned()
}
