# shellcheck shell=bash
# Measures of audits of many tags. Sourced, never run. The tags are written into the registries' directories: pushing them
# would take longer than all that is measured.

# filled FORM DIR TAGS: a repository app of as many tags, each an index of two platforms that no other tag shares.
filled() {
	[ -x "$TAGS" ] || cargo build --quiet --release --locked --manifest-path "$ROOT/Cargo.toml" -p polyarch-testkit --example tags
	"$TAGS" "$@"
}

# audited NAME STORE ARG…: one audit of tier 1 and 2, timed; its counts are in $WORK/NAME.json.
audited() {
	local name=$1 store=$2
	shift 2
	timed "$name" "$POLYARCH" --store "$store" audit -q --fail-on never --format json -o "$WORK/$name.json" "$@"
}

# requests NAME: of the last audit of that name, the list of tags left out.
requests() { jq '.stats.fetched + .stats.asked' "$WORK/$1.json"; }

# Against as many calls of crane, which read the tags' indexes alone.
measure_audit200() {
	local i count crane
	count=$(fewer 200)
	filled docker "$WORK/registry" "$count"
	"$BED_CRANE" ls "$REGISTRY/app" | sed "s#^#$REGISTRY/app:#" >"$WORK/audit200.tags"
	crane="xargs -P 8 -n 1 '$BED_CRANE' manifest <'$WORK/audit200.tags'"
	for ((i = 0; i < RUNS; i++)); do
		rm -rf "$WORK/audit200"
		audited audit200-polyarch "$WORK/audit200" "$REGISTRY/app"
		audited audit200warm-polyarch "$WORK/audit200" "$REGISTRY/app"
		timed audit200-crane bash -c "$crane"
	done
	cp "$WORK/audit200-crane.ms" "$WORK/audit200warm-crane.ms"
	cp "$WORK/audit200-crane.kib" "$WORK/audit200warm-crane.kib"
	against audit200 x0.50 crane
	against audit200warm x0.15 crane
	row "audit200: requests, tags and objects" "$(requests audit200-polyarch)" $((count * 5)) "" x1
	row "audit200warm: requests, tags" "$(requests audit200warm-polyarch)" "$count" "" x1
}

# A tenth of the tags, then all, then all once more, from the embedded registry.
measure_audit10k() {
	local count pid address tries
	count=$(fewer 10000)
	filled polyarch "$WORK/many" "$count"
	: >"$WORK/many.log"
	"$POLYARCH" registry serve --read-only --root "$WORK/many" --addr 127.0.0.1:0 >"$WORK/many.log" 2>&1 &
	pid=$!
	for ((tries = 0; tries < 100; tries++)); do
		address=$(sed -n 's#^listening on http://##p' "$WORK/many.log")
		[ -z "$address" ] || break
		sleep 0.1
	done
	[ -n "$address" ] || die "the embedded registry does not listen: $(cat "$WORK/many.log")"
	audited audit10k-tenth "$WORK/audit10k-tenth" --shard 1/10 "$address/app"
	audited audit10k "$WORK/audit10k" "$address/app"
	audited audit10k-warm "$WORK/audit10k" "$address/app"
	kill "$pid"
	wait "$pid" 2>/dev/null || true
	local tenth
	tenth=$(jq .stats.images "$WORK/audit10k-tenth.json")
	row "audit10k: seconds; peer: those of a tenth, as many times" "$(seconds "$(median audit10k.ms)")" \
		"$(awk -v ms="$(median audit10k-tenth.ms)" -v n="$count" -v t="$tenth" 'BEGIN {printf "%.3f", ms * n / t / 1000}')" s x1.2
	row "audit10k: seconds again" "$(seconds "$(median audit10k-warm.ms)")" - s -
	row "audit10k: peak memory" "$(mib "$(highest audit10k.kib)" 1024)" - MiB 64
	row "audit10k: peak memory again" "$(mib "$(highest audit10k-warm.kib)" 1024)" - MiB 64
	row "audit10k: requests, tags and objects" "$(requests audit10k)" $((count * 5)) "" x1
	row "audit10k: requests again, tags" "$(requests audit10k-warm)" "$count" "" x1
	rm -rf "$WORK/many" "$WORK/audit10k" "$WORK/audit10k-tenth"
}
