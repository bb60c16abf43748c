# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034
# Sourced after common.sh: the Debian packages that this project uses, one list
# per purpose, and need_packages, which installs what is missing.

# scripts/kernel
VDMA_PACKAGES_KERNEL=(kmod)
# and its debug kernel
VDMA_PACKAGES_DEBUG_KERNEL=(gcc libc6-dev make flex bison bc libelf-dev libssl-dev xz-utils
	lz4)

# kmod/ against the headers that scripts/kernel fetches
VDMA_PACKAGES_KMOD=(make gcc-12 libelf1 libssl3)

# scripts/guest
VDMA_PACKAGES_GUEST=(qemu-system-x86 busybox-static cpio kmod xz-utils util-linux)

# scripts/demo: who is at the other end, or counts after
VDMA_PACKAGES_DEMO=(iproute2 iputils-ping openssl)

# the library, the tools, the examples and the tests, with both compilers
VDMA_PACKAGES_BUILD=(gcc libc6-dev make cmake ninja-build pkg-config libpci-dev
	libnuma-dev systemtap-sdt-dev libjemalloc-dev)
# libdpdk-dev, for libvdma-dpdk, brings all of DPDK: no smaller package has the headers.
VDMA_PACKAGES_TEST=(clang libcmocka-dev g++ binutils pciutils libibverbs-dev ibverbs-providers
	git groff-base iproute2 iputils-ping libdpdk-dev libssl-dev openssl python3 tshark valgrind)

# scripts/bench: a peer
VDMA_PACKAGES_BENCH=(libdpdk-dev)

# scripts/check
VDMA_PACKAGES_CHECK=(clang-format shellcheck valgrind libclang-rt-14-dev)

package_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages()
{
	local package

	for package; do
		package_installed "$package" || printf '%s ' "$package"
	done
}

install_packages()
{
	# Another of our scripts may have been here while we waited for the lock.
	local missing install=(env DEBIAN_FRONTEND=noninteractive apt-get
		-o DPkg::Lock::Timeout=300 -q -y --no-install-recommends install)

	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	say "installing $missing"
	# shellcheck disable=SC2086
	apt-get -q -y --no-install-recommends -s install $missing >/dev/null 2>&1 &&
		"${install[@]}" $missing >&2 && return
	# The host's lists are missing or out of date.
	say "apt-get update"
	apt-get -o DPkg::Lock::Timeout=300 -q update >&2 || return
	# shellcheck disable=SC2086
	"${install[@]}" $missing >&2
}

# need_packages PACKAGE...: has them installed, or ends the script.
need_packages()
{
	local missing

	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] ||
		die "packages are missing, install them as root: apt-get install $missing"
	with_lock "$(vdma_cache)/packages.lock" install_packages "$@" ||
		die "could not install: $missing"
}
