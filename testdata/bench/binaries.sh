# shellcheck shell=bash
# Measures of audits that read layers. Sourced, never run.

# started DIR BYTES: a layout with two images, named 1 and 2, that share one layer: text, and near its end the program both
# start. Prints the layer's digest.
started() {
	local dir=$1 size=$2 blobs=$1/blobs/sha256 tag diff digest length config manifest entries=() platform
	platform='{"os":"linux","architecture":"amd64"}'
	mkdir -p "$blobs" "$dir/files/srv" "$dir/files/bin"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$dir/oci-layout"
	text "$size" >"$dir/files/srv/data"
	cp "$BED_BASES/busybox-amd64" "$dir/files/srv/app"
	echo end >"$dir/files/srv/end"
	tar -C "$dir/files" -cf "$dir/layer.tar" srv/data srv/app srv/end
	rm -rf "$dir/files"
	diff=$(sha256sum <"$dir/layer.tar" | cut -d ' ' -f 1)
	gzip -1 -n -f "$dir/layer.tar"
	digest=$(sha256sum <"$dir/layer.tar.gz" | cut -d ' ' -f 1)
	length=$(stat -c %s "$dir/layer.tar.gz")
	mv "$dir/layer.tar.gz" "$blobs/$digest"
	for tag in 1 2; do
		config=$(keep "$blobs" "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Entrypoint\":[\"/srv/app\"],\"Env\":[\"TAG=$tag\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$diff\"]}}")
		manifest=$(keep "$blobs" "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",$config},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$length}]}")
		entries+=("{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",$manifest,\"platform\":$platform,\"annotations\":{\"org.opencontainers.image.ref.name\":\"$tag\"}}")
	done
	echo "{\"schemaVersion\":2,\"manifests\":[$(commas "${entries[@]}")]}" >"$dir/index.json"
	echo "$digest"
}

# The program is near the end of a large layer: as fast as inflating it, and it crosses the network once for both images.
measure_binaries() {
	local i size digest blob length image=binaries address
	size=$((256 * MIB / SCALE))
	digest=$(started "$WORK/layout-binaries" "$size")
	blob=$WORK/layout-binaries/blobs/sha256/$digest
	length=$(stat -c %s "$blob")
	for i in 1 2; do "$POLYARCH" copy -q "oci:$WORK/layout-binaries:$i" "$REGISTRY/$image:$i" >/dev/null; done
	for ((i = 0; i < RUNS; i++)); do
		timed binaries-polyarch "$POLYARCH" --store "$WORK/binaries" audit -q --binaries "$REGISTRY/$image"
		# shellcheck disable=SC2016 # expanded by the inner shell
		timed binaries-gzip bash -c 'gzip -dc <"$1" >/dev/null' - "$blob"
		timed binaries-deep-polyarch "$POLYARCH" --store "$WORK/binaries" audit -q --deep --fail-on never "$REGISTRY/$image"
	done
	cp "$WORK/binaries-gzip.ms" "$WORK/binaries-deep-gzip.ms"
	cp "$WORK/binaries-gzip.kib" "$WORK/binaries-deep-gzip.kib"
	against binaries x1.0 gzip
	against binaries-deep x1.5 gzip
	row "binaries: peak memory" "$(mib "$(highest binaries-polyarch.kib)" 1024)" - MiB 64
	address=127.0.0.1:$((32000 + RANDOM % 700))
	relay binaries "$address" "$REGISTRY"
	timed binaries-counted "$POLYARCH" --store "$WORK/binaries" audit -q --binaries "$address/$image"
	relay_end binaries
	row "binaries: bytes read, two images; peer: their layer" "$(mib "$BACK")" "$(mib "$length")" MiB x1.05
	rm -rf "$WORK/layout-binaries" "$WORK/binaries"
}
