# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# Sourced by guest: turns the SPECs of --device into QEMU's arguments and into
# the lines of the devices file that guest-run reads. Every device gets an
# address of our choice, so that its BDF is known; behind a bridge only the path
# is, and the guest looks the bus number up.

declare -A device_count device_path device_type slot_used
device_lines=
device_args=()

# qemu_quote TEXT: a comma ends a value of QEMU's, two are one.
qemu_quote() { printf '%s' "${1//,/,,}"; }

# device_address BUS ADDR: sets address (SLOT.FUNCTION, hexadecimal) and path.
device_address()
{
	local bus=$1 addr=$2 slot function=0

	if [ "$bus" != pcie.0 ] && [ -z "${device_path[$bus]:-}" ]; then
		die "--device: no bus '$bus'; a bridge comes before what is on it, with id=$bus"
	fi
	if [ -n "$addr" ]; then
		[[ $addr =~ ^(0x)?([0-9a-fA-F]{1,2})(\.([0-7]))?$ ]] ||
			die "--device: addr=$addr is not SLOT or SLOT.FUNCTION (hexadecimal)"
		slot=$((16#${BASH_REMATCH[2]}))
		function=${BASH_REMATCH[4]:-0}
	elif [[ ${device_type[$bus]:-} == *-port || ${device_type[$bus]:-} == *-downstream ]]; then
		slot=0
	else
		# The root bus's first half is for the guest's own devices.
		slot=1
		[ "$bus" != pcie.0 ] || slot=16
		while [ -n "${slot_used[$bus/$slot]:-}" ]; do
			slot=$((slot + 1))
		done
	fi
	slot_used[$bus/$slot]=1
	# Slot 31 of the root bus is the chipset's.
	if [ "$slot" -gt 31 ] || [ "$slot $bus" = "31 pcie.0" ]; then
		die "--device: no slot $slot on bus $bus"
	fi
	address=$(printf '%02x.%x' "$slot" "$function")
	path=${device_path[$bus]:+${device_path[$bus]}/}$address
}

# device_backend: gives the device what it cannot be without.
device_backend()
{
	local file

	case $type in
	nvme)
		# One that shares its namespaces with others, and one that has virtual
		# functions, take none of their own.
		if ! has drive && ! has subsys; then
			file=$results/$id.img
			rm -f "$file"
			truncate -s "$size" "$file" || die "--device nvme: bad size=$size"
			device_args+=(-drive "if=none,id=drive-$id,format=raw,cache=unsafe,discard=unmap${throttling},file=$(qemu_quote "$file")")
			properties+=",drive=drive-$id"
		fi
		has serial || properties+=",serial=$id"
		;;
	e1000 | e1000e | igb | vmxnet3 | rtl8139 | virtio-net-pci)
		if ! has netdev; then
			device_args+=(-netdev "hubport,id=net-$id,hubid=$hub")
			properties+=",netdev=net-$id"
			# Whole packets, unless told otherwise: jumbo frames, too.
			[ "$dump" != on ] || dump=65536
			[ "$dump" = off ] || device_args+=(-object
				"filter-dump,id=dump-$id,netdev=net-$id,maxlen=$dump,file=$(qemu_quote "$results/$id.pcap")")
		fi
		;;
	virtio-crypto-pci)
		if ! has cryptodev; then
			device_args+=(-object "cryptodev-backend-builtin,id=crypto-$id")
			properties+=",cryptodev=crypto-$id"
		fi
		;;
	pcie-root-port) has chassis || properties+=",chassis=$number" ;;
	pci-bridge)
		has chassis_nr || properties+=",chassis_nr=$number"
		has shpc || properties+=,shpc=off
		;;
	esac
	case $type in
	virtio-*-pci)
		# Through the IOMMU like everybody, not past it.
		has iommu_platform || properties+=,iommu_platform=on
		has disable-legacy || properties+=,disable-legacy=on
		;;
	esac
	# The firmware would run the network cards' boot ROMs.
	has romfile || properties+=,romfile=
}

is_card() { [[ $1 == @(e1000|e1000e|igb|vmxnet3|rtl8139|virtio-net-pci) ]]; }

has() { [[ ,$given, == *,"$1"=* ]]; }

# add_device SPEC
add_device()
{
	local spec=$1 kind type given="" properties="" bind="" size=64M throttling="" bus=pcie.0 addr=""
	local hub=0 dump=off
	local id="" number word part parts address path variable

	IFS=, read -ra parts <<<"$spec"
	kind=${parts[0]}
	[ -n "$kind" ] || die "--device: no name in '$spec'"
	type=$kind
	[ "$kind" != virtio-crypto ] || type=virtio-crypto-pci
	number=$((${device_count[$kind]:-0} + 1))
	device_count[$kind]=$number

	for part in "${parts[@]:1}"; do
		case $part in
		bind=*) bind=${part#*=}; continue ;;
		bus=*) bus=${part#*=}; continue ;;
		addr=*) addr=${part#*=}; continue ;;
		id=*) id=${part#*=}; continue ;;
		size=*) if [ "$type" = nvme ]; then size=${part#*=}; continue; fi ;;
		iops=* | bps=*)
			if [ "$type" = nvme ]; then
				throttling+=,throttling.${part%%=*}-total=${part#*=}
				continue
			fi
			;;
		hub=* | dump=*)
			if is_card "$type"; then
				[[ $part =~ ^(hub=[0-9]{1,3}|dump=(on|off|[1-9][0-9]{1,4}))$ ]] ||
					die "--device: '$part': hub=N is a number, dump= is on, off or a number of bytes"
				local "$part"
				continue
			fi
			;;
		*=*) ;;
		*) die "--device: '$part' in '$spec' is not PROPERTY=VALUE" ;;
		esac
		given+=,$part
	done
	if [ "$type" = nvme-subsys ]; then # no PCI device
		device_args+=(-device "$type,id=${id:-$kind$number}$given")
		return
	fi
	# A bridge keeps the kernel's own driver, or none.
	case $type,$bind in
	*-port, | *-bridge, | *-upstream, | *-downstream,) bind=keep ;;
	*-port,none | *-bridge,none | *-upstream,none | *-downstream,none) bind=keep ;;
	*,) bind=vfio-pci ;;
	esac
	word=$kind
	[ "$number" = 1 ] || word=$kind$number
	id=${id:-$kind$number}
	device_address "$bus" "$addr"
	device_path[$id]=$path
	device_type[$id]=$type
	device_backend
	device_args+=(-device "$type,id=$id,bus=$bus,addr=$address$properties$given")
	variable=${word^^}
	device_lines+="$word VDMA_BDF_${variable//[^A-Z0-9]/_} $bind $path"$'\n'
}
