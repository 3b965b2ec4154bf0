//! Programs made from nothing: headers that say for which machine they are, and no code.

/// Machine, bits and byte order of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// 32 or 64.
    pub bits: u8,
    /// Little-endian.
    pub is_little: bool,
    /// `e_flags`.
    pub flags: u32,
}

impl Machine {
    /// The usual one of an OCI architecture.
    ///
    /// # Panics
    /// For architectures that no test has asked for yet.
    pub fn of(architecture: &str) -> Self {
        let (number, bits, is_little, flags) = match architecture {
            "386" => (3, 32, true, 0),
            "amd64" => (62, 64, true, 0),
            "arm" => (40, 32, true, 0x0500_0400),
            "arm64" => (183, 64, true, 0),
            "loong64" => (258, 64, true, 0x43),
            "mips64le" => (8, 64, true, 0x8000_0007),
            "ppc64le" => (21, 64, true, 2),
            "riscv64" => (243, 64, true, 5),
            "s390x" => (22, 64, false, 0),
            other => panic!("no machine is known for {other}"),
        };
        Self { number, bits, is_little, flags }
    }
}

/// Returns an ELF program that is linked statically.
pub fn elf(architecture: &str) -> Vec<u8> {
    elf_of(Machine::of(architecture), None)
}

/// Returns an ELF program that is loaded by an interpreter.
pub fn dynamic_elf(architecture: &str, interpreter: &str) -> Vec<u8> {
    elf_of(Machine::of(architecture), Some((interpreter, 512)))
}

/// Returns an ELF program of any machine, with its interpreter's name at an offset in the file.
pub fn elf_of(machine: Machine, interpreter: Option<(&str, usize)>) -> Vec<u8> {
    let Machine { number, bits, is_little, flags } = machine;
    let is_64 = bits == 64;
    let mut out = vec![0; 256];
    out[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', if is_64 { 2 } else { 1 }, if is_little { 1 } else { 2 }, 1, 0]);
    let mut put = |at: usize, width: usize, value: u64| {
        let bytes = value.to_le_bytes();
        for (place, byte) in bytes[..width].iter().enumerate() {
            out[at + if is_little { place } else { width - 1 - place }] = *byte;
        }
    };
    // ET_DYN, as every program is today.
    put(16, 2, 3);
    put(18, 2, u64::from(number));
    let (table, size, address) = if is_64 { (64, 56, 8) } else { (52, 32, 4) };
    put(if is_64 { 32 } else { 28 }, address, table as u64);
    put(if is_64 { 48 } else { 36 }, 4, u64::from(flags));
    put(if is_64 { 54 } else { 42 }, 2, size);
    put(if is_64 { 56 } else { 44 }, 2, u64::from(interpreter.is_some()));
    if let Some((name, offset)) = interpreter {
        put(table, 4, 3);
        put(table + address, address, offset as u64);
        put(table + address * 4, address, name.len() as u64 + 1);
        out.resize(out.len().max(offset), 0);
        out.truncate(offset.max(table + size as usize));
        out.resize(offset, 0);
        out.extend(name.as_bytes());
        out.push(0);
    }
    out
}

/// Returns a Windows program.
pub fn pe(machine: u16) -> Vec<u8> {
    let mut out = vec![0; 512];
    out[..2].copy_from_slice(b"MZ");
    out[0x3c] = 0x80;
    out[0x80..0x84].copy_from_slice(b"PE\0\0");
    out[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
    out
}

/// Returns a macOS program; with several CPUs a universal one.
pub fn mach_o(cpus: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    if let [cpu] = cpus {
        out.extend(0xfeed_facf_u32.to_le_bytes());
        out.extend(cpu.to_le_bytes());
    } else {
        out.extend(0xcafe_babe_u32.to_be_bytes());
        // A test has a few.
        out.extend((cpus.len() as u32).to_be_bytes());
        for cpu in cpus {
            out.extend(cpu.to_be_bytes());
            out.extend([0; 16]);
        }
    }
    out.resize(512, 0);
    out
}

/// Returns an empty WebAssembly module.
pub fn wasm() -> Vec<u8> {
    b"\0asm\x01\0\0\0".to_vec()
}
