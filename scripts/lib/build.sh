# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced after common.sh: the project's CMake build.

# configure_build REPO BUILD KDIR [CMAKE-ARGUMENT...]: makes or updates a build
# folder. KDIR is added to the kernels that it builds the module for, unless it is empty;
# those whose folder is gone are dropped, for the cache may be deleted. A new folder is
# without tests, as they need more packages.
configure_build()
{
	local repo=$1 build=$2 kdir=$3 kdirs="" old new=()
	shift 3

	if [ ! -e "$build/CMakeCache.txt" ]; then
		new=(-G Ninja -DVDMA_TESTS=OFF)
	fi
	while read -r old; do
		[ ! -e "$old/Makefile" ] || kdirs+=${kdirs:+;}$old
	done < <(sed -n 's/^VDMA_KDIRS:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null | tr ';' '\n')
	case ";;$kdirs;;" in
	*";$kdir;"*) ;;
	*) kdirs=${kdirs:+$kdirs;}$kdir ;;
	esac
	quietly "$build/configure.log" cmake -S "$repo" -B "$build" "${new[@]}" \
		-DVDMA_KDIRS="$kdirs" "$@"
}

# quietly LOG COMMAND...: its output goes to LOG, and is shown if it fails.
quietly()
{
	local log=$1
	shift

	mkdir -p "${log%/*}"
	"$@" >"$log" 2>&1 || {
		cat "$log" >&2
		return 1
	}
}
