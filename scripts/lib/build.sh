# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced after common.sh: the project's CMake build.

# configure_build REPO BUILD KDIR [CMAKE-ARGUMENT...]: makes or updates a build
# folder. KDIR is added to the kernels that it builds the module for. A new
# folder is without tests, as they need more packages.
configure_build()
{
	local repo=$1 build=$2 kdir=$3 kdirs new=()
	shift 3

	if [ ! -e "$build/CMakeCache.txt" ]; then
		new=(-G Ninja -DVDMA_TESTS=OFF)
	fi
	kdirs=$(sed -n 's/^VDMA_KDIRS:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null) || true
	case ";$kdirs;" in
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
