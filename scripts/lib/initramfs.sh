# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced after common.sh: the small initramfs of a cached kernel. It holds
# busybox, guest-init and the modules that it loads, and stays in the cache.

# What guest-init and guest-run load by themselves. Each is a list of what to
# insmod, in order; modules built into the kernel are on none.
initramfs_lists="base=9p,9pnet_virtio,virtio_pci,overlay iommu=virtio-iommu
	console=virtio_console vfio=vfio-pci,vfio_iommu_type1"

# make_initramfs KERNEL_DIR OUTPUT
make_initramfs()
{
	local dir=$1 out=$2 release stage list module kind file name

	[ ! -e "$out" ] || return 0
	release=$(<"$dir/release")
	say "making the initramfs of $release"
	stage=$(mktemp -d "$out.XXXXXX")
	mkdir -p "$stage"/{bin,modules,host,over,sysroot}
	cp /bin/busybox "$stage/bin/busybox"
	cp "${BASH_SOURCE[0]%/*}/guest-init" "$stage/init"
	chmod 755 "$stage/init"
	for list in $initramfs_lists; do
		: >"$stage/modules/${list%%=*}"
		for module in $(tr ',' ' ' <<<"${list#*=}"); do
			# 6.1 has no virtio-iommu.
			PATH=$PATH:/usr/sbin:/sbin modprobe -C /dev/null -d "$dir" -S "$release" \
				--show-depends "$module" 2>/dev/null || [ "$module" = virtio-iommu ] ||
				die "$release has no module $module"
		done | while read -r kind file; do
			[ "$kind" = insmod ] || continue
			name=${file##*/}
			name=${name%%.ko*}.ko
			[ ! -e "$stage/modules/$name" ] || continue
			case $file in
			*.xz) xz -dc "$file" >"$stage/modules/$name" ;;
			*) cp "$file" "$stage/modules/$name" ;;
			esac
			echo "$name" >>"$stage/modules/${list%%=*}"
		done
	done
	(cd "$stage" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$stage.cpio"
	rm -rf "$stage"
	mv "$stage.cpio" "$out"
}

# initramfs KERNEL_DIR: prints its path, makes it first if need be.
initramfs()
{
	local lib=${BASH_SOURCE[0]%/*} cache hash out

	cache=$(vdma_cache)
	hash=$(cat "$lib/initramfs.sh" "$lib/guest-init" /bin/busybox | sha256sum)
	mkdir -p "$cache/initramfs"
	out=$cache/initramfs/$(<"$1/release")-${hash:0:16}.cpio
	[ -e "$out" ] || with_lock "$cache/initramfs/lock" make_initramfs "$1" "$out"
	echo "$out"
}
