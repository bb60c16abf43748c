# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by in-guest: datagrams by vdma-blast, both ways through vdma-fwd, from one
# namespace to another. No packet but these goes over either wire meanwhile. What was
# counted is compared at each step of the way, and goes into $VDMA_RESULTS/counts for run,
# which compares it with what went over the wires.
# Called by name; check.sh's variables, and in-guest's:
# shellcheck disable=SC2317,SC2034,SC2154,SC2016

# last WORD FILE: the number behind it
last() { sed -n "s/.*\b$1 \([0-9]*\).*/\1/p" "$2" | tail -n 1; }

# port BDF WORD: what vdma-fwd has told of a port's queue; device BDF WORD: of the device
port() { sed -n "s/^$1 queue 0: //p" out | sed -n "s/.*\b$2 \([0-9]*\).*/\1/p"; }
device() { sed -n "s/^$1: //p" out | sed -n "s/.*\b$2 \([0-9]*\).*/\1/p"; }

# full BDF: packets that found the ring out of this port full
full() { grep -A 1 "^$1 queue 0" out | sed -n 's/^dropped before it //p'; }

# udp SPACE FIELD: of the kernel's counters
udp()
{
	ip netns exec "$1" awk -v field="$2" '
		$1 == "Udp:" && !n { n = NF; for (i = 2; i <= NF; i++) name[i] = $i; next }
		$1 == "Udp:" { for (i = 2; i <= NF; i++) if (name[i] == field) print $i }' \
		/proc/net/snmp
}

# sent SPACE DEVICE: by its card
sent() { ip netns exec "$1" cat "/sys/class/net/$2/statistics/tx_packets"; }

# KiB that vdma-fwd has; and that are free, could be, or are on the kernel's own lists. The
# caches are counted, not dropped: to read all programs again takes a busy guest a minute.
rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; }
free()
{
	local lists

	lists=$(awk '$1 == "count:" { n += $2 } END { print 4 * n }' /proc/zoneinfo)
	echo $(($(awk '/^(MemFree|Slab|Active\(file\)|Inactive\(file\)):/ { n += $2 }
		END { print n }' /proc/meminfo) + lists))
}

# What free() counts as free, in part: KiB of objects that the kernel does not give up itself.
slab() { awk '$1 == "SUnreclaim:" { print $2 }' /proc/meminfo; }

# All but how old they are.
regions() { sed -n '/^#/!s/ [^ ]*$//p' /sys/kernel/debug/map_contig/ledger; }

# says_in FILE WORD
says_in() { grep -q "$2" "$1" || { cat "$1"; return 1; }; }

# equal WHAT A B
equal() { check "$1: $2" [ "${2:-none}" = "${3:-nothing}" ]; }

# Until nothing is on its way any more: not from a card, nor to a socket.
settle()
{
	local now last=""

	while :; do
		now="$(sent wire "$wired") $(sent far "$fared") $(udp wire InDatagrams) \
			$(udp far InDatagrams) $(udp wire RcvbufErrors) $(udp far RcvbufErrors)"
		[ "$now" != "$last" ] || break
		last=$now
		sleep 2
	done
}

# blast NAME PORT RATE SECONDS LENGTH: both ways; NAME.there and NAME.back from wire and
# from far. Sets nothing: what they said is in NAME.WAY and NAME.WAY.sent.
# shellcheck disable=SC2086
blast()
{
	local name=$1 port=$2 receivers=() senders=()
	shift 2

	ip netns exec far "$blaster" receive "$port" "$socket" >"$name.there" &
	receivers+=($!)
	ip netns exec wire "$blaster" receive $((port + 1)) "$socket" >"$name.back" &
	receivers+=($!)
	within 20 grep -q ready "$name.there"
	within 20 grep -q ready "$name.back"
	ip netns exec wire "$blaster" send 10.9.0.7 "$port" "$@" $count >"$name.there.sent" &
	senders+=($!)
	ip netns exec far "$blaster" send 10.9.0.1 $((port + 1)) "$@" $count >"$name.back.sent" &
	senders+=($!)
	[ -z "$during" ] || $during
	wait "${senders[@]}"
	settle
	kill "${receivers[@]}"
	wait "${receivers[@]}"
}

# one_way NAME WAY FROM TO IN OUT UDP-PORT: what came of what was sent; IN and OUT are
# vdma-fwd's ports. Nothing is lost without having been counted.
one_way()
{
	local what="$1, $2" got=$1.$2 from=$3 to=$4 in=$5 out=$6 n left
	local written good dropped_kernel

	written=$(last sent "$got.sent")
	good=$(last good "$got")
	# Not their order: QEMU lets a short packet overtake a long one that the ring has no room
	# for, and one that comes just when there is room those that wait.
	check "$what: content" says_in "$got" "corrupted 0 duplicated 0 "
	equal "$what: the kernel's card has sent what was written" "$written" \
		$(($(sent "$from" "${card_of[$from]}") - sent_before[$from]))
	n=$((written - $(device "$in" "too long") - $(device "$in" missed)))
	equal "$what: all came to vdma-fwd, or was too long" "$(port "$in" in)" \
		$((n - $(port "$in" dropped)))
	equal "$what: and as many to its device" "$(device "$in" in)" "$n"
	equal "$what: all went out, or was dropped" "$(port "$out" out)" \
		$(($(port "$in" in) - $(full "$out")))
	equal "$what: and as many from its device" "$(device "$out" out)" "$(port "$out" out)"
	dropped_kernel=$(($(udp "$to" RcvbufErrors) - dropped_before[$to]))
	equal "$what: all came out of the socket, or found it full" "$good" \
		$(($(port "$out" out) - dropped_kernel))
	left=$((written - good))
	equal "$what: what is missing is what was counted" "$left" \
		$(($(device "$in" "too long") + $(device "$in" missed) + $(port "$in" dropped) +
			$(full "$out") + dropped_kernel))
	echo "$what: $written sent, $good came ($(last bytes "$got") bytes)," \
		"$(last reordered "$got") of them late," \
		"$dropped_kernel dropped by the socket, $(port "$in" dropped) by vdma-fwd," \
		"$(device "$in" "too long") by its device"
	echo "udp $7 $written $(port "$out" out)" >>"$VDMA_RESULTS/counts"
}

# through NAME PORT RATE SECONDS LENGTH VDMA-FWD-OPTIONS...: a load, and vdma-fwd for it
through()
{
	local name=$1 space
	local -A sent_before dropped_before

	check "$name: vdma-fwd starts" start_fwd "${@:6}"
	for space in wire far; do
		sent_before[$space]=$(sent "$space" "${card_of[$space]}")
		dropped_before[$space]=$(udp "$space" RcvbufErrors)
	done
	blast "${@:1:5}"
	stop TERM
	check "$name: SIGTERM ends it in order" [ "$status" = 0 ]
	check "$name: it was never short of buffers" says "short of buffers 0"
	cat out
	one_way "$name" there wire far "$card" "$VDMA_BDF_E1000E4" "$2"
	one_way "$name" back far wire "$VDMA_BDF_E1000E4" "$card" $(($2 + 1))
}

# Memory of a vdma-fwd that is at work, and what there is besides: twice, the second time
# at the load's end.
steady()
{
	local rss_before free_before regions_before rss_after free_after

	sleep 3
	rss_before=$(rss) free_before=$(free) regions_before=$(regions)
	sleep $((seconds - 5))
	rss_after=$(rss) free_after=$(free)
	echo "vdma-fwd had $rss_before KiB and has $rss_after; $free_before and $free_after KiB are free"
	check "memory of vdma-fwd is steady" [ $((rss_after - rss_before)) -le 64 ]
	# Sockets hold what is under way.
	check "and all other" [ $((free_before - free_after)) -le 8192 ]
	check "regions are the same" [ "$regions_before" = "$(regions)" ]
}

# No ARP either, from now on. And packets wait for their card in a queue that drops none: of
# what fq_codel, the usual one, drops it tells the sender only in part.
neighbours()
{
	ip -n wire neigh replace 10.9.0.7 lladdr "$(ip netns exec far \
		cat "/sys/class/net/$fared/address")" dev "$wired" nud permanent
	ip -n far neigh replace 10.9.0.1 lladdr "$(wire \
		cat "/sys/class/net/$wired/address")" dev "$fared" nud permanent
	tc -n wire qdisc replace dev "$wired" root pfifo limit 20000
	tc -n far qdisc replace dev "$fared" root pfifo limit 20000
}

# What can be taken is taken.
load()
{
	local seconds=${VDMA_TEST_SECONDS:-10} way
	local -A card_of=([wire]=$wired [far]=$fared)

	neighbours
	socket=$((32 << 20)) during=steady count="" \
		through paced 4000 "${VDMA_TEST_RATE:-1000}" "$seconds" 8972
	for way in there back; do
		equal "paced, $way: nothing is lost" "$(last good "paced.$way")" \
			"$(last sent "paced.$way.sent")"
	done
}

# Packets that found a socket full, of both.
unheard() { echo $(($(udp wire RcvbufErrors) + $(udp far RcvbufErrors))); }

# What cannot be taken is counted: as fast as it goes, for sockets that hold little; and
# packets that are too long, 4,000 bytes for the driver, 1,500 for the device. No more at once
# than QEMU has room for in front of a card (10,000 packets): beyond that it drops what nobody
# counts. What it keeps there is overtaken by what comes when the ring has room again, so run
# looks at the order where the ring always has.
overload()
{
	local -A card_of=([wire]=$wired [far]=$fared)
	local during="" socket=$((1 << 15)) count=8000 i before

	neighbours
	before=$(unheard)
	for ((i = 0; i < ${VDMA_TEST_OVERLOAD:-2}; i++)); do
		through "overload $i" $((4010 + 2 * i)) 0 60 1472
	done
	check "it was too much for the sockets" [ "$(unheard)" -gt "$before" ]
	count=""
	through "longer than vdma-fwd takes" 4004 200 3 8972 --mtu 4000
	check "it has dropped them" [ "$(port "$card" dropped)" -gt 0 ]
	through "longer than its device takes" 4006 200 3 8972 --mtu 1500
	check "it has dropped them" [ "$(device "$card" "too long")" -gt 0 ]
	echo "order 4006
order 4007" >>"$VDMA_RESULTS/counts"
}
