# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# Sourced by kernel after common.sh: packages of the Debian archive, through an
# apt of our own. The host's apt says where the archive is and which key signs
# it; nothing of the host is changed. $name is the kernel that they are for,
# $apt the folder of its apt, $debs where packages are kept.

# Debian suites that have the kernel.
suites_of()
{
	case $1 in
	6.1) echo "bookworm bookworm-security" ;;
	6.12 | debug) echo "bookworm-backports" ;;
	esac
}

# sources SUITE...: lines for a sources.list. Works without the host's lists
# being there (a fresh container has none): only the names of the files that
# apt would fetch are read.
sources()
{
	local uris key="" suite main security uri

	uris=$(apt-get --print-uris update 2>/dev/null | sed -n "s,^'\(.*\)/InRelease'.*,\1,p") || true
	main=$(sed -n 's,/dists/bookworm$,,p; s,^\(.*/debian\)/dists/[a-z]*$,\1,p' <<<"$uris" | head -n1)
	security=$(sed -n 's,/dists/[a-z]*-security$,,p' <<<"$uris" | head -n1)
	[ -n "$main" ] || die "this machine's apt has no Debian archive:" \
		"add one to its sources, the kernels are taken from there"
	for uri in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		[ ! -e "$uri" ] || key="[signed-by=$uri] "
	done
	for suite; do
		case $suite in
		*-security) uri=$security ;;
		*) uri=$main ;;
		esac
		[ -z "$uri" ] || echo "deb $key$uri $suite main"
	done
}

# Our own apt: nothing shared with the host's but the transport's settings.
apt_setup()
{
	mkdir -p "$apt"/{lists/partial,cache/archives/partial,state}
	: >"$apt/status"
	# shellcheck disable=SC2046
	sources $(suites_of "$name") >"$apt/sources.list.new"
	if ! cmp -s "$apt/sources.list.new" "$apt/sources.list"; then
		rm -f "$apt/updated"
		mv "$apt/sources.list.new" "$apt/sources.list"
	fi
	cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt/state";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Log "$apt";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
}

apt_update()
{
	say "$name: reading the archive's package lists"
	rm -rf "$apt/updated" "$apt/lists"
	mkdir -p "$apt/lists/partial"
	apt-get -c "$apt/apt.conf" -q update >"$apt/log" 2>&1 || {
		cat "$apt/log" >&2
		return 1
	}
	# A failed index is only a warning to apt-get update.
	! grep -E '^(E|Err|W: Failed)' "$apt/log" >&2 && touch "$apt/updated"
}

# download_packages PACKAGE...: leaves the names of their files in the array files.
download_packages()
{
	local package line file size

	mkdir -p "$debs"
	files=()
	for package; do
		line=$(apt-get -c "$apt/apt.conf" --print-uris download "$package") || return
		read -r _ file size _ <<<"$line"
		say "$name: $package, $((size / 1000000 + 1)) MB"
		# Verifies the checksum, also of a file that is there already.
		(cd "$debs" && apt-get -c "$apt/apt.conf" -q download "$package") >"$apt/log" 2>&1 || {
			cat "$apt/log" >&2
			return 1
		}
		files+=("$debs/$file")
	done
}
