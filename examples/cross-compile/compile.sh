#!/bin/sh
# compile OS/ARCH: a compiler for the smallest language there is. The source, on stdin, is what the program prints; the
# program, on stdout, is a static ELF executable: write(1, text, length), exit(0), the text.
set -eu

byte() { printf "\\$(printf %03o "$1")"; }
# le SIZE VALUE: a little-endian number.
le() {
	size=$1 value=$2
	while [ "$size" -gt 0 ]; do
		byte $((value & 255))
		value=$((value >> 8)) size=$((size - 1))
	done
}
# One machine instruction each.
words() { for word in "$@"; do le 4 "$word"; done; }

text=$(sed "s|@PLATFORM@|$1|" && echo .)
text=${text%.}
length=${#text}

amd64() {
	byte 0xb8 && le 4 1                              # mov eax, write
	byte 0xbf && le 4 1                              # mov edi, stdout
	byte 0x48 && byte 0x8d && byte 0x35 && le 4 16   # lea rsi, [rip+16]: the text
	byte 0xba && le 4 "$length"                      # mov edx, length
	byte 0x0f && byte 0x05                           # syscall
	byte 0xb8 && le 4 60                             # mov eax, exit
	byte 0x31 && byte 0xff                           # xor edi, edi
	byte 0x0f && byte 0x05                           # syscall
}

# mov x0, stdout; adr x1, text; mov x2, length; mov x8, write; svc; mov x0, 0; mov x8, exit; svc
arm64() {
	words 0xd2800020 0x100000e1 $((0xd2800002 | length << 5)) 0xd2800808 0xd4000001 0xd2800000 0xd2800ba8 0xd4000001
}

# li a0, stdout; auipc a1, 0; addi a1, text; li a2, length; li a7, write; ecall; li a0, 0; li a7, exit; ecall
riscv64() {
	words 0x00100513 0x00000597 0x02058593 $((0x613 | length << 20)) 0x04000893 0x73 0x513 0x05d00893 0x73
}

case $1 in
linux/amd64) machine=62 flags=0 code=33 ;;
linux/arm64) machine=183 flags=0 code=32 ;;
linux/riscv64) machine=243 flags=4 code=36 ;;
*) echo "compile: cannot compile for $1" >&2 && exit 1 ;;
esac

# The file header: 64-bit, little-endian, executable, entry right after the headers.
printf '\177ELF\2\1\1' && le 9 0
le 2 2 && le 2 $machine && le 4 1 && le 8 $((0x400078)) && le 8 64 && le 8 0 && le 4 $flags
le 2 64 && le 2 56 && le 2 1 && le 2 64 && le 2 0 && le 2 0
# One segment: the whole file, readable and executable.
le 4 1 && le 4 5 && le 8 0 && le 8 $((0x400000)) && le 8 $((0x400000))
le 8 $((120 + code + length)) && le 8 $((120 + code + length)) && le 8 4096
"${1#linux/}"
printf %s "$text"
