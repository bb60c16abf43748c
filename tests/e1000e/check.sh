# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by run and in-guest, which exit by failed.
# shellcheck disable=SC2034
failed=0

# check WHAT CONDITION...: the test command is the condition.
check()
{
	local what=$1
	shift

	if "$@"; then
		echo "ok: $what"
	else
		echo "FAILED: $what ($*)"
		failed=1
	fi
}

# In the guest, until it ends: a socket that asks for time stamps, as ping does. Linux patches
# its code when the first one comes and the last one goes, and QEMU's emulation of several
# processors now and then goes astray then (seen: a soft lockup where the patch is); so it does
# that once, not with each ping.
stamp_all_packets()
{
	python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 29, 1) # SO_TIMESTAMP
time.sleep(1e6)' &
	# shellcheck disable=SC2064
	trap "kill $!" EXIT
}
