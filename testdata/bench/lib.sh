# shellcheck shell=bash
# What the measures share: a registry and folders of their own, both clients, timing, and the rows of the table.
# Sourced, never run.
# shellcheck disable=SC2034 # some of what is set here is used by the measures

MIB=1048576
PLATFORMS=linux/amd64,linux/arm64
# Marks every step of a build of ours, so that only those are removed from the daemons.
MARK=polyarch-bench

say() { printf 'bench: %s\n' "$*" >&2; }
die() {
	say "$@"
	exit 1
}

# --- surroundings -----------------------------------------------------------------------------------------------

setup() {
	local builder
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/polyarch-bench.XXXXXX")
	ROWS=$WORK/rows
	: >"$ROWS"
	DAEMON=$BED_DOCKER28
	BUILDKIT=$BED_BUILDKIT
	# Neither client sees the user's own settings.
	export DOCKER_HOST=$DAEMON DOCKER_CONFIG=$WORK/docker BUILDX_CONFIG=$WORK/buildx POLYARCH_STORE=$WORK/store
	unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH BUILDX_BUILDER
	mkdir -p "$DOCKER_CONFIG" "$BUILDX_CONFIG"
	start_registry
	"$BED_BUILDX" create --name bench --driver remote "${BUILDKIT#buildkit+}" >/dev/null
	for builder in default bench; do contexts $builder >"$WORK/contexts-$builder"; done
}

# Everything measured is new in a registry that nobody else uses and that goes away with its folder.
start_registry() {
	PORT=$((20000 + RANDOM % 12000))
	cat >"$WORK/registry.yml" <<-YAML
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $WORK/registry}}
		http: {addr: "127.0.0.1:$PORT"}
	YAML
	docker-registry serve "$WORK/registry.yml" >"$WORK/registry.log" 2>&1 &
	REGISTRY_PID=$!
	REGISTRY=127.0.0.1:$PORT
	local tries
	for ((tries = 0; tries < 50; tries++)); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then return; fi
		sleep 0.1
	done
	die "the registry does not listen: $(tail -n 3 "$WORK/registry.log")"
}

teardown() {
	[ -n "${WORK:-}" ] || return 0
	# Without the lists everything would look new.
	if [ -f "$WORK/contexts-bench" ]; then
		prune default
		prune bench
	fi
	[ -z "${REGISTRY_PID:-}" ] || kill "$REGISTRY_PID" 2>/dev/null || true
	[ -z "${REGISTRY2_PID:-}" ] || kill "$REGISTRY2_PID" 2>/dev/null || true
	rm -rf "$WORK"
}

# prune BUILDER: removes the build cache of our own steps, known by their mark, and contexts that came since the start.
prune() {
	local id
	"$BED_BUILDX" prune --builder "$1" --all --force --filter "description~=$MARK" >/dev/null 2>&1 || true
	for id in $(contexts "$1" | grep -vxFf "$WORK/contexts-$1" || true); do
		"$BED_BUILDX" prune --builder "$1" --all --force --filter "id=$id" >/dev/null 2>&1 || true
	done
}

# contexts BUILDER: what clients have sent to a daemon, by id.
contexts() {
	"$BED_BUILDX" du --builder "$1" --format json 2>/dev/null | jq -r 'select(.Type == "source.local") | .ID'
}

# --- clients ----------------------------------------------------------------------------------------------------

polyarch_build() { "$POLYARCH" build --progress quiet "$@"; }
buildx_build() { BUILDX_NO_DEFAULT_ATTESTATIONS=1 "$BED_BUILDX" build --progress quiet --provenance=false "$@"; }

# --- measuring --------------------------------------------------------------------------------------------------

# timed NAME COMMAND…: appends milliseconds to $WORK/NAME.ms and peak KiB of memory to $WORK/NAME.kib.
timed() {
	local name=$1 from to
	shift
	from=$EPOCHREALTIME
	/usr/bin/time -f %M -o "$WORK/time" "$@" >"$WORK/out" 2>"$WORK/err" || {
		tail -n 20 "$WORK/err" >&2
		die "$name failed: $*"
	}
	to=$EPOCHREALTIME
	echo $(((${to/[.,]/} - ${from/[.,]/}) / 1000)) >>"$WORK/$name.ms"
	tail -n 1 "$WORK/time" >>"$WORK/$name.kib"
}

# /usr/bin/time runs programs, not functions.
timed_polyarch() {
	local name=$1
	shift
	timed "$name" "$POLYARCH" build --progress quiet "$@"
}
timed_buildx() {
	local name=$1
	shift
	timed "$name" env BUILDX_NO_DEFAULT_ATTESTATIONS=1 "$BED_BUILDX" build --progress quiet --provenance=false "$@"
}

median() { sort -n "$WORK/$1" | awk '{v[NR] = $1} END {print (NR % 2) ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2)}'; }
highest() { sort -n "$WORK/$1" | tail -n 1; }
# spread NAME: lowest and highest, to judge the noise by.
spread() { sort -n "$WORK/$1" | awk 'NR == 1 {low = $1} END {print low "-" $1}'; }

# relay NAME FROM TO … relay_end NAME: counts the bytes of connections to FROM, which are passed on to TO.
# relay_end sets THERE and BACK.
relay() {
	local tries
	mkfifo "$WORK/$1.stop"
	"$RELAY" "$2" "$3" <"$WORK/$1.stop" >"$WORK/$1.bytes" &
	eval "RELAY_$1=$!"
	eval "exec {RELAY_FD_$1}>'$WORK/$1.stop'"
	for ((tries = 0; tries < 50; tries++)); do
		case $2 in
		*/*) [ ! -S "$2" ] || return 0 ;;
		*) if (exec 3<>"/dev/tcp/${2%:*}/${2#*:}") 2>/dev/null; then return 0; fi ;;
		esac
		sleep 0.1
	done
	die "relay $1 does not listen"
}
relay_end() {
	local pid=RELAY_$1 fd=RELAY_FD_$1
	eval "exec {$fd}>&-"
	wait "${!pid}"
	read -r THERE BACK <"$WORK/$1.bytes"
	rm -f "$WORK/$1.stop" "$WORK/$1.bytes"
}

# --- the table --------------------------------------------------------------------------------------------------

# row MEASURE OURS THEIRS UNIT TARGET: a ratio's target is written x0.8, a value's 28. THEIRS may be -.
row() {
	awk -v m="$1" -v a="$2" -v b="$3" -v u="$4" -v t="$5" 'BEGIN {
		ratio = (b == "-" || b == 0) ? "-" : sprintf("%.2f", a / b)
		if (t == "-") met = "-"
		else if (t ~ /^x/) met = (ratio != "-" && a / b <= substr(t, 2)) ? "yes" : "NO"
		else met = (a <= t) ? "yes" : "NO"
		shown = (t == "-") ? "-" : (t ~ /^x/) ? "<= " substr(t, 2) : "<= " t " " u
		printf "%s|%s %s|%s|%s|%s|%s\n", m, a, u, (b == "-") ? "-" : b " " u, ratio, shown, met
	}' | tee -a "$ROWS" | awk -F '|' '{printf "bench: %s: %s against %s (%s)\n", $1, $2, $3, $4}' >&2
}

mib() { awk -v b="$1" -v d="${2:-1048576}" 'BEGIN {v = b / d; printf (v < 1) ? "%.3f" : "%.1f", v}'; }
seconds() { awk -v ms="$1" 'BEGIN {printf "%.3f", ms / 1000}'; }

table() {
	awk -F '|' 'BEGIN {f = "%-62s %12s %12s %6s %13s  %s\n"; printf f, "measure", "polyarch", "peer", "ratio", "target", "met"}
		{printf f, $1, $2, $3, $4, $5, $6}' "$ROWS"
}
