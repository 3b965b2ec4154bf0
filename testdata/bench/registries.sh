# shellcheck shell=bash
# Measures of the registry half: copying, pulling, verifying, joining, against crane, oras and skopeo. Sourced, never run.
# POLYARCH_SCALE divides sizes and counts, to see that a measure runs [1].

SCALE=${POLYARCH_SCALE:-1}

# fewer N: N divided by the scale, at least 2.
fewer() { echo $(($1 / SCALE > 2 ? $1 / SCALE : 2)); }

# layout DIR PLATFORMS LAYERS BYTES [text]: an OCI layout with one index named 1, of noise or of text, layers as gzip.
layout() {
	local dir=$1 platforms=$2 layers=$3 size=$4 kind=${5:-noise} blobs=$1/blobs/sha256
	local p l digest diff length config manifest list entries=() diffs
	mkdir -p "$blobs"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$dir/oci-layout"
	for ((p = 0; p < platforms; p++)); do
		list=() diffs=()
		for ((l = 0; l < layers; l++)); do
			mkdir -p "$dir/files"
			case $kind in
			text) text "$size" >"$dir/files/data-$p-$l" ;;
			*) head -c "$size" /dev/urandom >"$dir/files/data-$p-$l" ;;
			esac
			tar -C "$dir" -cf "$dir/layer.tar" files
			rm -rf "$dir/files"
			diff=$(sha256sum <"$dir/layer.tar" | cut -d ' ' -f 1)
			gzip -1 -n -f "$dir/layer.tar"
			digest=$(sha256sum <"$dir/layer.tar.gz" | cut -d ' ' -f 1)
			length=$(stat -c %s "$dir/layer.tar.gz")
			mv "$dir/layer.tar.gz" "$blobs/$digest"
			diffs+=("\"sha256:$diff\"")
			list+=("{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$length}")
		done
		config=$(keep "$blobs" "{\"architecture\":\"${ARCHES[p]}\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$(commas "${diffs[@]}")]}}")
		manifest=$(keep "$blobs" "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",$config},\"layers\":[$(commas "${list[@]}")]}")
		entries+=("{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",$manifest,\"platform\":{\"os\":\"linux\",\"architecture\":\"${ARCHES[p]}\"}}")
	done
	manifest=$(keep "$blobs" "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[$(commas "${entries[@]}")]}")
	echo "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",$manifest,\"annotations\":{\"org.opencontainers.image.ref.name\":\"1\"}}]}" >"$dir/index.json"
}

ARCHES=(amd64 arm64 arm 386 ppc64le s390x riscv64 mips64le loong64 mips)

# keep BLOBS TEXT: writes a blob and prints the digest and size of its descriptor.
keep() {
	local digest
	digest=$(printf %s "$2" | sha256sum | cut -d ' ' -f 1)
	printf %s "$2" >"$1/$digest"
	printf '"digest":"sha256:%s","size":%d' "$digest" ${#2}
}
commas() {
	local IFS=,
	echo "$*"
}

# published NAME PLATFORMS LAYERS BYTES [text]: $REGISTRY/NAME:1, once per run.
published() {
	[ ! -e "$WORK/published-$1" ] || return 0
	layout "$WORK/layout-$1" "${@:2}"
	"$POLYARCH" copy -q "oci:$WORK/layout-$1:1" "$REGISTRY/$1:1" >/dev/null
	rm -rf "$WORK/layout-$1"
	touch "$WORK/published-$1"
}

small() { published small "$(fewer 10)" "$(fewer 20)" $((MIB / SCALE)); }
big() { published big 2 "$(fewer 4)" $((256 * MIB / SCALE)); }

# against NAME TARGET PEERS…: a row of the fastest peer's median, and what each one took.
against() {
	local name=$1 target=$2 peer best=- fastest=-
	shift 2
	for peer in "$@"; do
		say "$name, milliseconds: $peer $(spread "$name-$peer.ms"), peak KiB $(highest "$name-$peer.kib")"
		if [ "$best" = - ] || [ "$(median "$name-$peer.ms")" -lt "$best" ]; then
			best=$(median "$name-$peer.ms")
			fastest=$peer
		fi
	done
	say "$name, milliseconds: polyarch $(spread "$name-polyarch.ms"), peak KiB $(highest "$name-polyarch.kib")"
	row "$name: wall; peer $fastest" "$(seconds "$(median "$name-polyarch.ms")")" "$(seconds "$best")" s "$target"
}

# copies NAME IMAGE: every client copies an image to a repository that is not there yet.
copies() {
	local i
	for ((i = 0; i < RUNS; i++)); do
		timed "$1-polyarch" "$POLYARCH" copy -q "$REGISTRY/$2:1" "$REGISTRY2/$1-p$i:1"
		timed "$1-crane" "$BED_CRANE" copy "$REGISTRY/$2:1" "$REGISTRY2/$1-c$i:1"
		timed "$1-oras" "$BED_ORAS" cp --no-tty --from-plain-http --to-plain-http "$REGISTRY/$2:1" "$REGISTRY2/$1-o$i:1"
		timed "$1-skopeo" skopeo copy -q --all --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/$2:1" "docker://$REGISTRY2/$1-s$i:1"
	done
}

# A second registry, so that nothing can be mounted.
second_registry() {
	[ -z "${REGISTRY2:-}" ] || return 0
	local first=$REGISTRY pid=$REGISTRY_PID work=$WORK
	WORK=$work/second
	mkdir -p "$WORK"
	start_registry
	REGISTRY2=$REGISTRY
	# shellcheck disable=SC2034 # ended by teardown
	REGISTRY2_PID=$REGISTRY_PID
	REGISTRY=$first REGISTRY_PID=$pid WORK=$work
}

measure_copy() {
	second_registry
	small
	copies copy-small small
	against copy-small x0.9 crane oras skopeo
}
measure_copylarge() {
	second_registry
	big
	copies copy-large big
	against copy-large x0.95 crane oras
	row "copy-large: peak memory" "$(mib "$(highest copy-large-polyarch.kib)" 1024)" "$(mib "$(highest copy-large-crane.kib)" 1024)" MiB 20
}
measure_copyagain() {
	second_registry
	small
	"$POLYARCH" copy -q "$REGISTRY/small:1" "$REGISTRY2/again:1" >/dev/null
	local i
	for ((i = 0; i < RUNS; i++)); do
		timed copy-again-polyarch "$POLYARCH" copy -q "$REGISTRY/small:1" "$REGISTRY2/again:1"
		timed copy-again-crane "$BED_CRANE" copy "$REGISTRY/small:1" "$REGISTRY2/again:1"
		timed copy-again-oras "$BED_ORAS" cp --no-tty --from-plain-http --to-plain-http "$REGISTRY/small:1" "$REGISTRY2/again:1"
	done
	against copy-again x1.1 crane oras
}

# pulls NAME IMAGE: every client fetches into a new layout.
pulls() {
	local i
	for ((i = 0; i < RUNS; i++)); do
		rm -rf "$WORK"/fetched-*
		timed "$1-polyarch" "$POLYARCH" copy -q "$REGISTRY/$2:1" "oci:$WORK/fetched-p"
		timed "$1-crane" "$BED_CRANE" pull --format=oci "$REGISTRY/$2:1" "$WORK/fetched-c"
		timed "$1-oras" "$BED_ORAS" cp --no-tty --from-plain-http --to-oci-layout "$REGISTRY/$2:1" "$WORK/fetched-o:1"
		timed "$1-skopeo" skopeo copy -q --all --src-tls-verify=false "docker://$REGISTRY/$2:1" "oci:$WORK/fetched-s:1"
	done
	rm -rf "$WORK"/fetched-*
}
measure_pull() {
	small
	pulls pull-small small
	against pull-small x0.85 crane oras skopeo
	big
	pulls pull-large big
	against pull-large x0.95 crane oras skopeo
}

measure_verify() {
	local i image target
	big
	published text 2 1 $((418 * MIB / SCALE)) text
	for image in big:x0.40 text:x0.15; do
		target=${image#*:} image=${image%:*}
		for ((i = 0; i < RUNS; i++)); do
			timed "verify-$image-polyarch" "$POLYARCH" verify --deep "$REGISTRY/$image:1"
			timed "verify-$image-crane" "$BED_CRANE" validate --remote "$REGISTRY/$image:1"
		done
		against "verify-$image" "$target" crane
	done
}

measure_index() {
	local i digests digest
	small
	mapfile -t digests < <("$POLYARCH" index show "$REGISTRY/small:1" --field digest)
	local sources=() manifests=()
	for digest in "${digests[@]}"; do
		sources+=("$REGISTRY/small@$digest")
		manifests+=(-m "$REGISTRY/small@$digest")
	done
	for ((i = 0; i < RUNS; i++)); do
		timed index-polyarch "$POLYARCH" index create "$REGISTRY/small:p$i" "${sources[@]}"
		timed index-crane "$BED_CRANE" index append "${manifests[@]}" -t "$REGISTRY/small:c$i"
	done
	against index x0.8 crane
}

measure_tags() {
	local i count
	second_registry
	count=$(fewer 200)
	for ((i = 0; i < count; i++)); do
		layout "$WORK/layout-tags" 2 1 1024
		"$POLYARCH" copy -q "oci:$WORK/layout-tags:1" "$REGISTRY/tags:$i" >/dev/null
		rm -rf "$WORK/layout-tags"
	done
	for ((i = 0; i < RUNS; i++)); do
		timed tags-polyarch "$POLYARCH" copy -q --all-tags "$REGISTRY/tags" "$REGISTRY2/tags-p$i"
		timed tags-crane "$BED_CRANE" copy --all-tags "$REGISTRY/tags" "$REGISTRY2/tags-c$i"
	done
	against tags x0.65 crane
}
