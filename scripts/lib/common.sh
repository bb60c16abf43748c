# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by the scripts of this folder: messages, places, locks.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die MESSAGE...: with the status that the script says is its own failure's.
die_status=1
die()
{
	say "$@"
	exit "$die_status"
}

vdma_repo()
{
	cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P
}

vdma_cache()
{
	local dir="${VDMA_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set, set VDMA_CACHE}/.cache}/libvdma}"

	case $dir in
	*[[:space:]:]*) die "kbuild takes no path like '$dir': set VDMA_CACHE to one without blanks and colons" ;;
	esac
	mkdir -p "$dir" && cd "$dir" && pwd -P
}

# with_lock FILE COMMAND...: one at a time; COMMAND may be a shell function.
# The lock's descriptor is closed for COMMAND's children only when they say so,
# so COMMAND must not leave daemons behind.
with_lock()
{
	local file=$1 status=0
	shift

	exec {lock_fd}>>"$file" || return
	if ! flock -n "$lock_fd"; then
		say "waiting for another process that holds $file"
		flock "$lock_fd"
	fi
	"$@" || status=$?
	exec {lock_fd}>&-
	return "$status"
}
