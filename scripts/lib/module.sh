# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced after common.sh, packages.sh and build.sh: map_contig.ko for a cached kernel, by
# the project's own CMake build.

# make_module REPO BUILD KDIR RELEASE
make_module()
{
	local repo=$1 build=$2 kdir=$3 release=$4

	! module_current "$@" || return 0
	need_packages "${VDMA_PACKAGES_BUILD[@]}" "${VDMA_PACKAGES_KMOD[@]}"
	say "building map_contig.ko for $release"
	configure_build "$repo" "$build" "$kdir" &&
		quietly "$build/module.log" cmake --build "$build" --target "kmod-$release"
}

# module_current REPO BUILD KDIR RELEASE: is it there, and newer than its source?
module_current()
{
	local file=$2/kmod/$4/map_contig.ko

	[ -e "$file" ] &&
		[ -z "$(find "$1/kmod" "$1/include/vdma/uapi" -newer "$file" \
			\( -name '*.[ch]' -o -name Kbuild \) -print -quit)" ]
}

# built_module REPO BUILD KDIR RELEASE: prints its path, builds it first if need be.
built_module()
{
	mkdir -p "$2"
	if ! module_current "$@"; then
		with_lock "$2/.guest-module.lock" make_module "$@" ||
			die "map_contig.ko could not be built (--no-module goes without)"
	fi
	echo "$2/kmod/$4/map_contig.ko"
}
