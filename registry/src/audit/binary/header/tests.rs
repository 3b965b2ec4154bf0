use polyarch_testkit::program::{Machine, dynamic_elf, elf, elf_of, mach_o, pe, wasm};
use proptest::prelude::*;

use super::*;

fn fit(bytes: &[u8], platform: &str) -> Fit {
    Program::parse(bytes).unwrap().fits(&platform.parse().unwrap())
}

fn of(number: u16, bits: u8, is_little: bool, flags: u32) -> Vec<u8> {
    elf_of(Machine { number, bits, is_little, flags }, None)
}

const ARCHITECTURES: [&str; 9] = ["386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"];

#[test]
fn a_program_runs_on_its_own_architecture_and_below_a_64_bit_one() {
    for program in ARCHITECTURES {
        for platform in ARCHITECTURES {
            let legal = program == platform || matches!((program, platform), ("386", "amd64") | ("arm", "arm64"));
            let want = if legal { Fit::Runs } else { Fit::Foreign };
            assert_eq!(fit(&elf(program), &format!("linux/{platform}")), want, "{program} in {platform}");
        }
    }
}

#[test]
fn byte_order_and_width_count() {
    assert_eq!(fit(&of(8, 64, false, 0), "linux/mips64le"), Fit::Foreign);
    assert_eq!(fit(&of(8, 64, false, 0), "linux/mips64"), Fit::Runs);
    assert_eq!(fit(&of(8, 32, true, 0x20), "linux/mips64le"), Fit::Runs, "N32");
    assert_eq!(fit(&of(21, 64, false, 1), "linux/ppc64le"), Fit::Foreign);
    assert_eq!(fit(&of(243, 32, true, 0), "linux/riscv64"), Fit::Foreign);
    assert_eq!(fit(&of(62, 32, true, 0), "linux/amd64"), Fit::Runs, "x32");
    assert_eq!(fit(&of(40, 32, false, 0), "linux/arm/v7"), Fit::Foreign);
}

#[test]
fn flags_of_the_right_machine_make_doubts() {
    let doubtful = |bytes: Vec<u8>, platform| assert!(matches!(fit(&bytes, platform), Fit::Doubtful(_)), "{platform}");
    doubtful(elf("arm"), "linux/arm/v5");
    assert_eq!(fit(&elf("arm"), "linux/arm/v6"), Fit::Runs);
    assert_eq!(fit(&of(40, 32, true, 0x0500_0200), "linux/arm/v5"), Fit::Runs, "soft float");
    doubtful(of(8, 32, true, 0x20), "linux/mipsle");
    doubtful(of(8, 64, true, 0xa000_0000), "linux/mips64le");
    doubtful(of(243, 64, true, 8), "linux/riscv64");
    doubtful(of(21, 64, true, 1), "linux/ppc64le");
    let mut freebsd = elf("amd64");
    freebsd[7] = 9;
    doubtful(freebsd.clone(), "linux/amd64");
    assert_eq!(fit(&freebsd, "freebsd/amd64"), Fit::Runs);
}

#[test]
fn other_formats_have_tables_of_their_own() {
    assert_eq!(fit(&pe(0x8664), "windows/amd64"), Fit::Runs);
    assert_eq!(fit(&pe(0x14c), "windows/amd64"), Fit::Runs);
    assert_eq!(fit(&pe(0xaa64), "windows/amd64"), Fit::Foreign);
    assert_eq!(fit(&pe(0x8664), "windows/arm64"), Fit::Runs, "emulated by Windows");
    assert_eq!(fit(&pe(0x8664), "linux/amd64"), Fit::Foreign);
    assert_eq!(fit(&elf("amd64"), "windows/amd64"), Fit::Foreign);
    assert_eq!(fit(&mach_o(&[0x0100_000c]), "darwin/amd64"), Fit::Foreign);
    assert_eq!(fit(&mach_o(&[0x0100_000c, 0x0100_0007]), "darwin/amd64"), Fit::Runs);
    assert_eq!(fit(&mach_o(&[0x0100_000c, 0x0100_0007]), "linux/amd64"), Fit::Foreign);
    assert_eq!(fit(&wasm(), "wasi/wasm"), Fit::Runs);
    assert_eq!(fit(&wasm(), "linux/amd64"), Fit::Unknown);
    assert_eq!(fit(&elf("amd64"), "wasi/wasm"), Fit::Foreign);
    assert_eq!(fit(&elf("amd64"), "linux/vax"), Fit::Unknown);
}

#[test]
fn what_only_looks_like_a_program_is_none() {
    let class = [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 65, 0, 0, 0, 0];
    let cases: [&[u8]; 8] =
        [b"", b"\x7fELF", b"MZ", b"#!/bin/sh\n", b"hello", &class, &[0x7f, b'E', b'L', b'F', 9, 9], &[0; 64]];
    for bytes in cases {
        assert_eq!(Program::parse(bytes), None, "{bytes:?}");
    }
}

#[test]
fn an_interpreter_is_found_where_its_header_says() {
    let bytes = dynamic_elf("amd64", "/lib64/ld-linux-x86-64.so.2");
    let span = Elf::interpreter(&bytes).unwrap();
    assert_eq!(&bytes[span.offset as usize..][..span.len], b"/lib64/ld-linux-x86-64.so.2\0");
    let bytes = dynamic_elf("s390x", "/lib/ld64.so.1");
    let span = Elf::interpreter(&bytes).unwrap();
    assert_eq!(&bytes[span.offset as usize..][..span.len], b"/lib/ld64.so.1\0");
    let bytes = dynamic_elf("arm", "/lib/ld-linux-armhf.so.3");
    assert_eq!(Elf::interpreter(&bytes[..HEAD_BYTES.min(bytes.len())]).unwrap().len, 25);
    assert_eq!(Elf::interpreter(&elf("amd64")), None);
}

#[test]
fn programs_have_names_for_people() {
    let name = |bytes: &[u8]| Program::parse(bytes).unwrap().describe();
    assert_eq!(name(&elf("arm64")), "AArch64 64-bit ELF");
    assert_eq!(name(&elf("s390x")), "s390 64-bit big-endian ELF");
    assert_eq!(name(&of(999, 32, true, 0)), "machine 999 32-bit ELF");
    assert_eq!(name(&pe(0x8664)), "x86-64 Windows");
    assert_eq!(name(&mach_o(&[0x0100_000c, 7])), "AArch64+i386 macOS");
    assert_eq!(name(&wasm()), "WebAssembly");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panicking(start in 0usize..5, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let magic: [&[u8]; 5] = [b"", b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"MZ", b"\xca\xfe\xba\xbe"];
        let bytes = [magic[start], &bytes].concat();
        let _ = Program::parse(&bytes).map(|program| program.fits(&"linux/amd64".parse().unwrap()));
        let _ = Elf::interpreter(&bytes);
    }
}
