//! Programs of a hundred-odd bytes that only end, one for each architecture: the smallest proof that foreign code runs.
//!
//! Owns: the machine code and the ELF file around it (System V gABI, chapter 4). Pure.
//!
//! Each is a static executable of one segment: the header, one program header, and the instructions of `exit(0)` by that
//! architecture's Linux system call. [`UNDER_QEMU`] tells what the one for 32-bit Arm ends with.

use polyarch_registry::oci::Platform;

/// The exit code by which the program for 32-bit Arm says that an emulator runs it.
///
/// An arm64 CPU may run 32-bit Arm itself, and BuildKit's list does not say so. The kernel then names its machine `armv8l`
/// (`personality` Linux 32) or `aarch64` to the program, never `armv7l`, which is what QEMU's user mode names it (`uname` in
/// QEMU's `linux-user/uname.c`).
pub(super) const UNDER_QEMU: u32 = 64;

/// Where the file is mapped: a multiple of every architecture's page size.
const BASE: u32 = 0x0040_0000;

struct Program {
    architecture: &'static str,
    /// `e_machine`.
    machine: u16,
    /// `e_flags`: the version of the calling convention.
    flags: u32,
    is_64: bool,
    is_big_endian: bool,
    code: &'static [u8],
}

const PROGRAMS: [Program; 8] = [
    Program {
        architecture: "amd64",
        machine: 62,
        flags: 0,
        is_64: true,
        is_big_endian: false,
        // xor edi, edi; mov eax, 60; syscall
        code: &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05],
    },
    Program {
        architecture: "386",
        machine: 3,
        flags: 0,
        is_64: false,
        is_big_endian: false,
        // xor ebx, ebx; mov eax, 1; int 0x80
        code: &[0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80],
    },
    Program {
        architecture: "arm64",
        machine: 183,
        flags: 0,
        is_64: true,
        is_big_endian: false,
        // mov x0, #0; mov x8, #93; svc #0
        code: &[0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4],
    },
    Program {
        architecture: "arm",
        machine: 40,
        // EABI version 5.
        flags: 0x0500_0000,
        is_64: false,
        is_big_endian: false,
        // uname(sp - 512), then exit(machine[4] == '7' ? 64 : 0): `machine` is the fifth field of 65 bytes.
        code: &[
            0x02, 0xdc, 0x4d, 0xe2, // sub sp, sp, #512
            0x0d, 0x00, 0xa0, 0xe1, // mov r0, sp
            0x7a, 0x70, 0xa0, 0xe3, // mov r7, #122
            0x00, 0x00, 0x00, 0xef, // svc #0
            0x08, 0x01, 0xdd, 0xe5, // ldrb r0, [sp, #264]
            0x37, 0x00, 0x50, 0xe3, // cmp r0, #'7'
            0x40, 0x00, 0xa0, 0x03, // moveq r0, #64
            0x00, 0x00, 0xa0, 0x13, // movne r0, #0
            0x01, 0x70, 0xa0, 0xe3, // mov r7, #1
            0x00, 0x00, 0x00, 0xef, // svc #0
        ],
    },
    Program {
        architecture: "riscv64",
        machine: 243,
        flags: 0,
        is_64: true,
        is_big_endian: false,
        // li a0, 0; li a7, 93; ecall
        code: &[0x13, 0x05, 0x00, 0x00, 0x93, 0x08, 0xd0, 0x05, 0x73, 0x00, 0x00, 0x00],
    },
    Program {
        architecture: "ppc64le",
        machine: 21,
        // ELF version 2 of its ABI.
        flags: 2,
        is_64: true,
        is_big_endian: false,
        // li r3, 0; li r0, 1; sc
        code: &[0x00, 0x00, 0x60, 0x38, 0x01, 0x00, 0x00, 0x38, 0x02, 0x00, 0x00, 0x44],
    },
    Program {
        architecture: "s390x",
        machine: 22,
        flags: 0,
        is_64: true,
        is_big_endian: true,
        // lghi %r2, 0; svc 1
        code: &[0xa7, 0x29, 0x00, 0x00, 0x0a, 0x01],
    },
    Program {
        architecture: "loong64",
        machine: 258,
        flags: 0,
        is_64: true,
        is_big_endian: false,
        // addi.w $a0, $zero, 0; addi.w $a7, $zero, 93; syscall 0
        code: &[0x04, 0x00, 0x80, 0x02, 0x0b, 0x74, 0x81, 0x02, 0x00, 0x00, 0x2b, 0x00],
    },
];

/// Returns an executable that ends with 0 (see [`UNDER_QEMU`]) on this platform; none if there is none for it.
pub(super) fn program(platform: &Platform) -> Option<Vec<u8>> {
    let known = PROGRAMS.iter().find(|known| known.architecture == platform.architecture && platform.os == "linux");
    known.map(Program::elf)
}

impl Program {
    fn elf(&self) -> Vec<u8> {
        let mut file = File { bytes: Vec::new(), is_64: self.is_64, is_big_endian: self.is_big_endian };
        let (header, program_header) = if self.is_64 { (64, 56) } else { (52, 32) };
        let size = header + program_header + self.code.len() as u32;
        let (class, data) = (1 + u8::from(self.is_64), 1 + u8::from(self.is_big_endian));
        file.bytes.extend([0x7f, b'E', b'L', b'F', class, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.half(2); // ET_EXEC
        file.half(self.machine);
        file.word(1); // EV_CURRENT
        file.address(BASE + header + program_header); // e_entry
        file.address(header); // e_phoff
        file.address(0); // e_shoff
        file.word(self.flags);
        file.half(header as u16); // e_ehsize
        file.half(program_header as u16); // e_phentsize
        file.half(1); // e_phnum
        (0..3).for_each(|_| file.half(0)); // no sections
        file.word(1); // PT_LOAD
        let flags = 5; // PF_R | PF_X, which stands here in 64-bit files
        if self.is_64 {
            file.word(flags);
        }
        file.address(0); // p_offset
        file.address(BASE); // p_vaddr
        file.address(BASE); // p_paddr
        file.address(size); // p_filesz
        file.address(size); // p_memsz
        if !self.is_64 {
            file.word(flags);
        }
        file.address(0x1_0000); // p_align
        file.bytes.extend(self.code);
        file.bytes
    }
}

/// A file in the making.
struct File {
    bytes: Vec<u8>,
    is_64: bool,
    is_big_endian: bool,
}

impl File {
    fn half(&mut self, value: u16) {
        self.bytes.extend(if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn word(&mut self, value: u32) {
        self.bytes.extend(if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    /// An address, offset or size of the file's class.
    fn address(&mut self, value: u32) {
        match (self.is_64, self.is_big_endian) {
            (true, true) => self.bytes.extend(u64::from(value).to_be_bytes()),
            (true, false) => self.bytes.extend(u64::from(value).to_le_bytes()),
            (false, _) => self.word(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// QEMU's names of the architectures.
    const QEMU: [(&str, &str); 8] = [
        ("amd64", "x86_64"),
        ("386", "i386"),
        ("arm64", "aarch64"),
        ("arm", "arm"),
        ("riscv64", "riscv64"),
        ("ppc64le", "ppc64le"),
        ("s390x", "s390x"),
        ("loong64", "loongarch64"),
    ];

    #[test]
    fn every_program_ends_as_it_promises() {
        let dir = tempfile::tempdir().unwrap();
        for (architecture, name) in QEMU {
            let qemu = format!("/usr/bin/qemu-{name}-static");
            if !Path::new(&qemu).exists() {
                println!("skipped: {architecture}: {qemu} is not there");
                continue;
            }
            let bytes = program(&Platform::new("linux", architecture, None)).unwrap();
            assert!(bytes.len() < 200, "{architecture}: {}", bytes.len());
            let path = dir.path().join(architecture);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            let code = Command::new(&qemu).arg(&path).status().unwrap().code();
            let want = if architecture == "arm" { 64 } else { 0 };
            assert_eq!(code, Some(want), "{architecture}");
        }
    }

    #[test]
    fn what_has_no_program_is_not_tried() {
        let of = |platform: &str| program(&platform.parse().unwrap()).is_some();
        assert!(of("linux/arm/v6") && of("linux/amd64/v2"));
        assert!(!of("windows/amd64") && !of("linux/mips64le"));
    }
}
