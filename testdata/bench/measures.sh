# shellcheck shell=bash
# The measures. Each is a function that leaves rows in the table. Sourced, never run.

# A fully cached rebuild of the example with push, two platforms: wall time and peak memory.
measure_cached() {
	local context=$ROOT/examples/hello i
	local common=("$context" --platform "$PLATFORMS" --build-arg "BASE=$BED_BASE_IMAGE" --push)
	polyarch_build "${common[@]}" -t "$REGISTRY/cached-polyarch:1" >/dev/null
	buildx_build "${common[@]}" -t "$REGISTRY/cached-buildx:1" >/dev/null
	for ((i = 0; i < RUNS; i++)); do
		timed_polyarch cached-polyarch "${common[@]}" -t "$REGISTRY/cached-polyarch:1"
		timed_buildx cached-buildx "${common[@]}" -t "$REGISTRY/cached-buildx:1"
	done
	say "cached, milliseconds: polyarch $(spread cached-polyarch.ms), buildx $(spread cached-buildx.ms)"
	row "cached rebuild and push, two platforms: wall" \
		"$(seconds "$(median cached-polyarch.ms)")" "$(seconds "$(median cached-buildx.ms)")" s x0.5
	row "cached rebuild and push, two platforms: peak memory" \
		"$(mib "$(highest cached-polyarch.kib)" 1024)" "$(mib "$(highest cached-buildx.kib)" 1024)" MiB 28
}

# The plan of a Dockerfile of 60 stages for 8 platforms, offline; and of 2,000 and 8,000 stages, which must grow linearly.
measure_plan() {
	local count i file
	local platforms=linux/amd64,linux/arm64,linux/arm/v7,linux/arm/v6,linux/386,linux/ppc64le,linux/s390x,linux/riscv64
	for count in 60 2000 8000; do
		file=$WORK/plan-$count/Dockerfile
		mkdir -p "${file%/*}"
		for ((i = 0; i < count; i += 4)); do
			# shellcheck disable=SC2016
			printf 'FROM --platform=$BUILDPLATFORM golang:1 AS s%d\nARG TARGETARCH\nRUN make %d\nFROM s%d AS s%d\nCOPY --from=s%d /o /o\nRUN x\n' \
				$i $i $i $((i + 1)) $i
			printf 'FROM alpine AS s%d\nRUN apk add x\nCOPY --from=s%d /o /o\nFROM debian AS s%d\nRUN --mount=type=bind,from=s%d,target=/m y\n' \
				$((i + 2)) $((i + 1)) $((i + 3)) $((i + 2))
		done >"$file"
		printf 'FROM scratch\n' >>"$file"
		for ((i = 0; i < count; i++)); do printf 'COPY --from=s%d /o /o\n' $i; done >>"$file"
		for ((i = 0; i < RUNS; i++)); do
			# 3 is a platform this machine has no emulator for; the plan is the same work.
			# shellcheck disable=SC2016
			timed "plan-$count" sh -c '"$@" || [ $? = 3 ]' sh \
				"$POLYARCH" plan "${file%/*}" --offline --format json --platform "$platforms" -o "$WORK/plan.json"
		done
		row "plan of $count stages, 8 platforms, offline: wall" "$(seconds "$(median "plan-$count.ms")")" - s \
			"$([ $count = 60 ] && echo 0.02 || echo -)"
	done
}

# A large base layer and a small one that changed: what the second build moves. A relay on the daemon's socket and one
# before the registry count every byte of every connection, protocol included.
measure_base() {
	local base=$WORK/base app=$WORK/app front
	front=127.0.0.1:$((PORT + 1))
	mkdir -p "$base" "$app"
	head -c $((512 * MIB)) /dev/urandom >"$base/$MARK-blob"
	printf 'FROM %s\nCOPY %s /blob\n' "$BED_BASE_IMAGE" "$MARK-blob" >"$base/Dockerfile"
	buildx_build "$base" -t "$REGISTRY/base:1" --push >/dev/null
	printf 'FROM %s\nCOPY %s /note\n' "$REGISTRY/base:1" "$MARK-note" >"$app/Dockerfile"
	echo one >"$app/$MARK-note"
	counted "$front" polyarch "$app"
	echo two >"$app/$MARK-note"
	counted "$front" polyarch "$app"
	row "changed small layer on 512 MiB: daemon to client" "$FROM_DAEMON" - MiB 5
	row "changed small layer on 512 MiB: client to registry" "$TO_REGISTRY" - MiB 5
	rm -rf "$base" "$app" "$POLYARCH_STORE"
	prune default
}

# counted FRONT CLIENT CONTEXT: builds and pushes through the relays; sets FROM_DAEMON and TO_REGISTRY in MiB.
counted() {
	relay daemon "$WORK/daemon.sock" "${DAEMON#unix://}"
	relay registry "$1" "$REGISTRY"
	DOCKER_HOST=unix://$WORK/daemon.sock "$2_build" "$3" -t "$1/app:1" --push >/dev/null
	# In this order: the later relay has inherited what keeps the earlier one running.
	relay_end registry
	TO_REGISTRY=$(mib "$THERE")
	relay_end daemon
	FROM_DAEMON=$(mib "$BACK")
	rm -f "$WORK/daemon.sock"
	say "$2: $FROM_DAEMON MiB from the daemon, $TO_REGISTRY MiB to the registry"
}

# One layer of 1 GiB that does not compress, built, stored and pushed: the client's memory.
measure_large() {
	local context=$WORK/large
	mkdir -p "$context"
	head -c $((1024 * MIB)) /dev/urandom >"$context/$MARK-blob"
	printf 'FROM %s\nCOPY %s /blob\n' "$BED_BASE_IMAGE" "$MARK-blob" >"$context/Dockerfile"
	timed_polyarch large-polyarch "$context" -t "$REGISTRY/large:1" --push
	row "1 GiB layer built, stored, pushed: peak memory" "$(mib "$(highest large-polyarch.kib)" 1024)" - MiB 64
	rm -rf "$context" "$POLYARCH_STORE"
	prune default
}

# A new layer of 340 MiB of text; all before the export is cached, the context too, which a daemon keeps for each
# client. Each run has a layer of its own, since a daemon keeps the compressed form of the layers it has exported.
measure_text() {
	local context=$WORK/text i
	mkdir -p "$context"
	text $((340 * MIB)) >"$context/$MARK-text"
	printf 'FROM %s\nCOPY %s %s /data/\n' "$BED_BASE_IMAGE" "$MARK-text" "$MARK-nonce" >"$context/Dockerfile"
	for ((i = 0; i < TEXT_RUNS; i++)); do
		text_run text-docker default "$DAEMON" gzip
		text_run text-buildkit bench "$BUILDKIT" gzip
		text_run text-zstd default "$DAEMON" zstd
		prune default
		prune bench
	done
	say "text, milliseconds: docker $(spread text-docker-polyarch.ms) against $(spread text-docker-buildx.ms)," \
		"buildkit $(spread text-buildkit-polyarch.ms) against $(spread text-buildkit-buildx.ms)," \
		"zstd $(spread text-zstd-polyarch.ms) against $(spread text-zstd-buildx.ms)"
	text_row "new 340 MiB text layer pushed, gzip, Docker: wall" text-docker text-docker x0.8
	text_row "new 340 MiB text layer pushed, gzip, BuildKit: wall" text-buildkit text-buildkit x0.95
	text_row "new 340 MiB text layer pushed, zstd, Docker: wall; peer gzip" text-zstd text-docker x0.6
	text_row "new 340 MiB text layer pushed, zstd, Docker: wall; peer zstd" text-zstd text-zstd -
	rm -rf "$context" "$POLYARCH_STORE"
}

text_row() { row "$1" "$(seconds "$(median "$2-polyarch.ms")")" "$(seconds "$(median "$3-buildx.ms")")" s "$4"; }

# text_run NAME BUILDX_BUILDER POLYARCH_BUILDER COMPRESSION
text_run() {
	local name=$1 builder=$2 output=type=registry
	local options=() one=(--platform "${PLATFORMS%%,*}")
	if [ "$4" != gzip ]; then
		options=(--compression "$4")
		output=type=image,push=true,compression=$4
	fi
	fresh
	# An output of files executes every step and exports no layer.
	polyarch_build "$WORK/text" "${one[@]}" --builder "$3" --output type=tar,dest=/dev/null
	timed_polyarch "$name-polyarch" "$WORK/text" "${one[@]}" --builder "$3" -t "$REGISTRY/text-polyarch:$RANDOM" --push \
		"${options[@]}"
	fresh
	buildx_build "$WORK/text" "${one[@]}" --builder "$builder" --output type=cacheonly >/dev/null
	timed_buildx "$name-buildx" "$WORK/text" "${one[@]}" --builder "$builder" -t "$REGISTRY/text-buildx:$RANDOM" \
		--output "$output"
}

# A context never seen.
fresh() { echo "$RANDOM$RANDOM$RANDOM" >"$WORK/text/$MARK-nonce"; }

# text BYTES: words and numbers that gzip makes a bit less than half.
text() {
	awk -v seed="$RANDOM" -v bytes="$1" 'BEGIN {
		srand(seed)
		for (i = 0; i < 4096; i++) {
			word = ""
			for (j = 3 + int(rand() * 7); j > 0; j--) word = word sprintf("%c", 97 + int(rand() * 26))
			words[i] = word
		}
		while (bytes > 0) {
			line = int(rand() * 1e9)
			for (j = 0; j < 12; j++) line = line " " words[int(rand() * 4096)]
			print line
			bytes -= length(line) + 1
		}
	}'
}

# Nothing cached; one stage of the build platform is the same for both platforms.
measure_cold() {
	local context=$WORK/cold i
	mkdir -p "$context"
	cat >"$context/Dockerfile" <<-'DOCKERFILE'
		ARG BASE
		FROM --platform=$BUILDPLATFORM $BASE AS shared
		ARG NONCE
		RUN echo "polyarch-bench shared $NONCE" && dd if=/dev/zero bs=1M count=512 | sha256sum > /sum
		FROM --platform=$BUILDPLATFORM shared AS each
		ARG TARGETARCH
		RUN echo "polyarch-bench $TARGETARCH" && dd if=/dev/zero bs=1M count=128 | sha256sum > /each
		FROM $BASE
		COPY --from=shared /sum /polyarch-bench-sum
		COPY --from=each /each /polyarch-bench-each
		RUN echo polyarch-bench && uname -m > /machine
	DOCKERFILE
	local common=("$context" --platform "$PLATFORMS" --build-arg "BASE=$BED_BASE_IMAGE" --push)
	for ((i = 0; i < RUNS; i++)); do
		timed_polyarch cold-polyarch "${common[@]}" --build-arg "NONCE=p$i-$RANDOM" -t "$REGISTRY/cold-polyarch:$i"
		timed_buildx cold-buildx "${common[@]}" --build-arg "NONCE=b$i-$RANDOM" -t "$REGISTRY/cold-buildx:$i"
	done
	say "cold, milliseconds: polyarch $(spread cold-polyarch.ms), buildx $(spread cold-buildx.ms)"
	row "cold build and push with a shared stage: wall" \
		"$(seconds "$(median cold-polyarch.ms)")" "$(seconds "$(median cold-buildx.ms)")" s x0.95
	"$POLYARCH" build --progress json "${common[@]}" --build-arg "NONCE=count-$RANDOM" -t "$REGISTRY/cold-polyarch:n" \
		2>"$WORK/events" >/dev/null
	row "cold build: executions of the shared stage" "$(executions "$WORK/events")" - times 1
	prune default
}

# executions EVENTS: how often the shared stage ran: different vertices of its RUN that finished without the cache.
executions() {
	jq -rs '(map(select(.event == "vertex-seen" and (.name | contains("polyarch-bench shared")))) | map(.vertex) | unique) as $shared
		| map(select(.event == "vertex-finished" and .cached == false and (.vertex | IN($shared[])))) | map(.vertex) | unique
		| length' "$1"
}
