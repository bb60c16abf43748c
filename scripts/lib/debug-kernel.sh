# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# Sourced by kernel after common.sh: the debug kernel, built from Debian's source
# with our own configuration. $root is the folder of the cache.

debug_source=linux-source-6.12
debug_config=${BASH_SOURCE[0]%/*}/../debug-kernel.config
# About as many objects as are compiled, to tell how far a build is.
debug_objects=1850

# debug_key: a kernel for each configuration and way to build it.
debug_key()
{
	local hash

	hash=$(cat "$debug_config" "${BASH_SOURCE[0]}" | sha256sum)
	echo "${hash:0:8}"
}

# debug_make ARGUMENT...: in the tree, at low priority, untouched by a make or
# ninja that calls us.
debug_make()
{
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS KBUILD_BUILD_USER=vdma KBUILD_BUILD_HOST=vdma \
		nice make -C "$tree" ARCH=x86_64 "$@"
}

# unpack_source DEB: into the tree, or leaves it as it is there from a build
# that was interrupted; make goes on from there.
unpack_source()
{
	[ "$(cat "$tree/.vdma-source" 2>/dev/null)" != "${1##*/}" ] || return 0
	say "debug: unpacking ${1##*/}"
	rm -rf "$tree"
	mkdir -p "$tree"
	dpkg --fsys-tarfile "$1" | tar -xO "./usr/src/$debug_source.tar.xz" |
		tar -xJ -C "$tree" --strip-components=1
	echo "${1##*/}" >"$tree/.vdma-source"
}

# unmet_options CONFIG: those that we asked for and did not get.
unmet_options()
{
	local line option

	while IFS= read -r line; do
		case $line in
		CONFIG_*) grep -qxF -e "$line" "$1" || echo "$line" ;;
		"# CONFIG_"*" is not set")
			option=${line#\# }
			! grep -q "^${option%% *}=" "$1" || echo "$line"
			;;
		esac
	done <"$debug_config"
}

# configure_debug VERSION: VERSION is what the release says behind the source's.
configure_debug()
{
	local unmet

	debug_make -s tinyconfig &&
		(cd "$tree" && scripts/kconfig/merge_config.sh -m .config "$debug_config" &&
			scripts/config --set-str LOCALVERSION "$1") &&
		debug_make -s olddefconfig || return
	unmet=$(unmet_options "$tree/.config")
	[ -z "$unmet" ] || {
		echo "$debug_config asks for options that this source does not give:"
		echo "$unmet"
		return 1
	}
}

# show_progress LOG: make's output goes there, and how far it is to the user: in
# place on a terminal, else a line every 30 s.
show_progress()
{
	local log=$1 line objects=0 step="" next=2 every=30 end="\n"

	if [ -t 2 ]; then
		every=1 end="\r"
	fi
	SECONDS=0
	while IFS= read -r line; do
		printf '%s\n' "$line"
		case $line in
		"  CC "*) objects=$((objects + 1)) step="" ;;
		"  LD "* | "  OBJTOOL "* | "  KSYMS "* | "  LZ4 "*) step=", linking" ;;
		esac
		[ "$SECONDS" -ge "$next" ] || continue
		next=$((SECONDS + every))
		# shellcheck disable=SC2059
		printf "%s: debug: %d min %02d s, %d of about %d objects%s    $end" "${0##*/}" \
			$((SECONDS / 60)) $((SECONDS % 60)) "$objects" "$debug_objects" "$step" >&2
	done >"$log"
	[ ! -t 2 ] || echo >&2
}

# install_debug STAGE: what scripts/guest and an external module need of the tree,
# in folders as Debian's packages have them.
install_debug()
{
	local src=$1/usr/src/linux-headers-$release modules=$1/lib/modules/$release file

	mkdir -p "$1/boot" "$modules"
	cp "$tree/arch/x86/boot/bzImage" "$1/boot/vmlinuz-$release"
	cp "$tree/.config" "$1/boot/config-$release"
	cp "$tree/System.map" "$1/boot/System.map-$release"
	debug_make -s run-command \
		KBUILD_RUN_COMMAND="scripts/package/install-extmod-build $src"
	cp "$tree/.config" "$src/"
	# All is built in: modprobe finds that here.
	for file in modules.builtin modules.builtin.modinfo modules.order; do
		cp "$tree/$file" "$modules/"
	done
	ln -sfn "../../../usr/src/linux-headers-$release" "$modules/build"
	ln -sfn build "$modules/source"
}

# build_debug_kernel DEB STAGE: sets release.
build_debug_kernel()
{
	local tree=$root/kernels/debug-build revision

	# linux-source-6.12_6.12.95-1~bpo12+1_all.deb: the 1 is Debian's.
	revision=${1##*/}
	revision=${revision#*-*-*-}
	revision=${revision%%[~_+]*}
	unpack_source "$1"
	quietly "$tree/vdma-config.log" configure_debug "-$revision-debug-$(debug_key)" ||
		die "debug: cannot be configured, the cause stands above"
	say "debug: building it from ${1##*/}, some 12 minutes (log: $tree/vdma-build.log)"
	debug_make -j2 bzImage modules 2>&1 | show_progress "$tree/vdma-build.log" || {
		grep -E -A3 -m5 '[Ee]rror( |:)' "$tree/vdma-build.log" >&2 || true
		die "debug: the build failed, all of it is in $tree/vdma-build.log"
	}
	release=$(<"$tree/include/config/kernel.release")
	install_debug "$2"
	rm -rf "$tree"
	# Those of other configurations, when nobody has used them for a week.
	find "$root/kernels" -mindepth 1 -maxdepth 1 -name 'debug-????????' -mtime +7 -exec rm -rf {} +
}
