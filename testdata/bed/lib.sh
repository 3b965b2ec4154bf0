# shellcheck shell=bash
# What `up` and `down` share: where things are, and how a process, a port or a package is looked after.
# Sourced, never run.
# shellcheck disable=SC2034 # most of what is set here is used by the scripts that source it

BED=${POLYARCH_BED:-/var/lib/polyarch-bed}
CACHE=$BED/cache
RUN=$BED/run
ENV_FILE=$BED/bed.env

# Names and addresses the bed makes on the machine, different for each $BED so that two beds can be up at once.
LABEL=io.polyarch.bed
DIND_IMAGE=polyarch-bed/dind:28
number=$(($(cksum <<<"$BED" | cut -d' ' -f1) % 64))
bridge_name() { echo "polybed$number-$1"; }
bridge_net() { echo "10.213.$((number * 4 + $1))"; }

say() { printf '%s: %s\n' "${WHO:-bed}" "$*" >&2; }
die() {
	say "$@"
	exit 1
}

# put KEY VALUE: one line of bed.env, replaced whole so that a reader never sees half a file.
put() {
	local next
	next=$(mktemp "$BED/.env.XXXXXX")
	if [ -f "$ENV_FILE" ]; then grep -v "^$1=" "$ENV_FILE" >"$next" || true; fi
	printf '%s=%s\n' "$1" "$2" >>"$next"
	LC_ALL=C sort -o "$next" "$next"
	chmod 644 "$next"
	mv "$next" "$ENV_FILE"
}

get() { sed -n "s/^$1=//p" "$ENV_FILE" 2>/dev/null || true; }

# await SECONDS COMMAND…: tries five times a second until the command succeeds.
await() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port NAME: the port this service had before if nobody else took it, else a free one.
# Below the ephemeral range, so that no outgoing connection can be sitting on it.
port() {
	local file=$RUN/$1.port p=
	[ ! -f "$file" ] || p=$(cat "$file")
	while [ -z "$p" ] || listening "$p" || port_promised "$p" "$1"; do
		p=$((20000 + RANDOM % 12000))
	done
	echo "$p" >"$file"
	echo "$p"
}

# Another service of the bed that is down just now may still own the port.
port_promised() {
	local other
	for other in "$RUN"/*.port; do
		[ -f "$other" ] && [ "$other" != "$RUN/$2.port" ] && [ "$(cat "$other")" = "$1" ] && return 0
	done
	return 1
}

# alive NAME: whether the very process we started under this name still runs. Its start time and the machine's boot are
# compared too, since a process id is used again after a restart.
alive() {
	local file=$RUN/$1.pid pid
	[ -f "$file" ] && read -r pid _ <"$file" && [ -n "$pid" ] && [ "$(identity "$pid")" = "$(cat "$file")" ]
}

# identity PID: the process id, when it started (field 22 of its stat; the name before it may hold anything) and the boot.
identity() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	stat=${stat##*) }
	[ "${stat:0:1}" != Z ] || return 1
	echo "$1 $(cut -d' ' -f20 <<<"$stat") $(cat /proc/sys/kernel/random/boot_id)"
}

# spawn NAME COMMAND…: a process that outlives this script, its output in log/NAME.log.
spawn() {
	local name=$1
	shift
	setsid nohup "$@" >>"$BED/log/$name.log" 2>&1 </dev/null 9>&- &
	identity $! >"$RUN/$name.pid"
}

# halt NAME [SECONDS]: ends what spawn started, politely first.
halt() {
	local pid
	if alive "$1"; then
		read -r pid _ <"$RUN/$1.pid"
		kill "$pid" 2>/dev/null || true
		await "${2:-15}" gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
	fi
	rm -f "$RUN/$1.pid"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# no_orphan FILE DIR: a daemon that was killed leaves its containerd, or a file with the number of a process that is gone
# or another's by now; either way the next daemon would wait for it in vain.
no_orphan() {
	local pid
	pid=$(cat "$1" 2>/dev/null || true)
	if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$2/"; then
		kill "$pid" 2>/dev/null || true
		await 10 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
	fi
	rm -f "$1"
}

# install_packages PACKAGE…: only the missing ones, and without letting a package start its service: the bed starts its own.
install_packages() {
	local p missing=() policy=/usr/sbin/policy-rc.d made=
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		made=1
	fi
	export DEBIAN_FRONTEND=noninteractive
	local install=(apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}")
	if ! { "${install[@]}" || { apt-get -o DPkg::Lock::Timeout=600 update && "${install[@]}"; }; } \
		>>"$BED/log/apt.log" 2>&1; then
		[ -z "$made" ] || rm -f $policy
		tail -n 5 "$BED/log/apt.log" >&2
		die "apt-get could not install ${missing[*]}; see $BED/log/apt.log"
	fi
	[ -z "$made" ] || rm -f $policy
}

# The mirror of the distribution itself, from the machine's own sources (either format), never a built-in one.
mirror() {
	local codename
	if [ -n "${POLYARCH_BED_MIRROR:-}" ]; then
		echo "$POLYARCH_BED_MIRROR"
		return
	fi
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016 # the dollar signs are apt's
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		awk -v release="$codename" '$1 == release {print $2; exit}' | sed 's|/*$||'
}

# Each daemon has its own bridge: a daemon with --bridge=none beside a live one deletes the bridge the other uses.
bridge() {
	local name net
	name=$(bridge_name "$1") net=$(bridge_net "$1")
	if ! ip link show "$name" >/dev/null 2>&1; then
		ip link add "$name" type bridge
		ip addr add "$net.1/24" dev "$name"
	fi
	ip link set "$name" up
	echo "$name"
}

drop_bridge() {
	local name table
	name=$(bridge_name "$1")
	ip link show "$name" >/dev/null 2>&1 || return 0
	# Our own rules and those the daemon leaves behind: all that name the bridge.
	for table in nat filter; do
		iptables-save -t $table | sed -n "/ $name /s/^-A/-D/p" | while read -ra rule; do
			iptables -w -t $table "${rule[@]}"
		done
	done
	ip link delete "$name"
}

# emulate MACHINE…: registers emulators (names as in uname -m). With the F flag the kernel holds the interpreter open, so
# that it works inside containers that have no such file.
emulate() {
	local arch
	if [ ! -e /proc/sys/fs/binfmt_misc/register ]; then
		mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
	fi
	for arch in "$@"; do
		grep -qs '^enabled' "/proc/sys/fs/binfmt_misc/qemu-$arch" || update-binfmts --enable "qemu-$arch" ||
			die "cannot register the emulator for $arch (update-binfmts --enable qemu-$arch)"
		grep -q '^flags:.*F' "/proc/sys/fs/binfmt_misc/qemu-$arch" ||
			die "the emulator for $arch is registered without the F flag: containers would not see it"
	done
}

# docker20/docker28 …: the command-line client on one of the bed's daemons, blind to the caller's own settings.
dk() {
	local name=$1
	shift
	env -u DOCKER_HOST -u DOCKER_CONTEXT -u DOCKER_TLS_VERIFY -u DOCKER_CERT_PATH \
		DOCKER_CONFIG="$BED/docker-config" docker -H "unix://$BED/$name/docker.sock" "$@"
}
