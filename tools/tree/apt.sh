# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# apt with an own set of sources and lists: other suites of the machine's own
# mirror can be read without a change to the machine's configuration.

# The mirror is whatever apt is already set up with for its main archive.
apt_mirror() {
	apt-get update --print-uris 2>/dev/null |
		sed -n "s|^'\([^']*\)/dists/[a-z]*/InRelease'.*|\1|p" |
		grep -v -e security | head -n 1
}

# apt_private SUITES COMMAND...: apt-get COMMAND (apt-cache with
# APT=apt-cache) with SUITES added to the sources of the machine (with
# APT_ONLY=1: instead of them).
apt_private() {
	suites=$1
	shift
	key=$(printf '%s %s' "$suites" "${APT_ONLY:-}" | cksum | cut -d ' ' -f 1)
	dir=$cache/apt/$key
	if [ ! -e "$dir/ready" ] || [ -n "${LAB_REFRESH:-}" ]; then
		mirror=$(apt_mirror)
		[ -n "$mirror" ] || die "no Debian mirror in apt's configuration"
		ring=/usr/share/keyrings/debian-archive-keyring.gpg
		signed=
		[ -e "$ring" ] && signed="[signed-by=$ring] "
		rm -rf "$dir"
		mkdir -p "$dir/parts" "$dir/lists/partial" "$dir/archives/partial"
		if [ -z "${APT_ONLY:-}" ]; then
			cp -a /etc/apt/sources.list.d/. "$dir/parts/" 2>/dev/null
			cp /etc/apt/sources.list "$dir/parts/machine.list" 2>/dev/null
		fi
		for suite in $suites; do
			echo "deb $signed$mirror $suite main"
		done >"$dir/parts/lab.list"
		: >"$dir/status"
		# apt's download user need not reach into a private home.
		APT='' step "apt lists of $suites" apt_in "$dir" update || return 1
		: >"$dir/ready"
	fi
	apt_in "$dir" "$@"
}

apt_in() {
	apt_dir=$1
	shift
	# Only what changes something asks, and only that understands to be told yes.
	[ "${APT:-apt-get}" != apt-get ] || set -- -y "$@"
	set -- -q -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=/dev/null \
		-o Dir::Etc::sourceparts="$apt_dir/parts" \
		-o Dir::State::lists="$apt_dir/lists" "$@"
	if [ -n "${APT_ONLY:-}" ]; then
		"${APT:-apt-get}" -o Dir::State::status="$apt_dir/status" \
			-o Dir::Cache="$apt_dir" -o Dir::Cache::archives="$apt_dir/archives" "$@"
	else
		as_root env DEBIAN_FRONTEND=noninteractive apt-get "$@"
	fi
}

# apt_fetch SUITES PACKAGE[=VERSION]: path of the downloaded .deb, on stdout.
# Only the archive is fetched: nothing is installed.
apt_fetch() (
	APT_ONLY=1
	mkdir -p "$cache/deb/new.$$" && cd "$cache/deb/new.$$" || exit 1
	uri=$(apt_private "$1" download --print-uris "$2" | sed -n "s/^'\([^']*\)' \([^ ]*\) .*/\2/p")
	[ -n "$uri" ] || die "no package $2 in $1"
	if [ ! -e "../$uri" ]; then
		step "download of ${2%%=*}" apt_private "$1" download "$2" || exit 1
		mv ./*.deb "../$uri" || exit 1
	fi
	rmdir "$cache/deb/new.$$"
	echo "$cache/deb/$uri"
)

# apt_versions SUITE PACKAGE: the versions there are.
apt_versions() (
	APT_ONLY=1 APT=apt-cache
	apt_private "$1" madison "$2" 2>/dev/null | awk -F '|' '{ gsub(/ /, "", $2); print $2 }'
)

# apt_source SUITE PACKAGE: its source, unpacked here.
apt_source() (
	APT_ONLY=1 APT=''
	dir=$cache/apt/source-$1
	mirror=$(apt_mirror)
	[ -n "$mirror" ] || die "no Debian mirror in apt's configuration"
	ring=/usr/share/keyrings/debian-archive-keyring.gpg
	signed=
	[ -e "$ring" ] && signed="[signed-by=$ring] "
	mkdir -p "$dir/parts" "$dir/lists/partial" "$dir/archives/partial"
	echo "deb-src $signed$mirror $1 main" >"$dir/parts/lab.list"
	: >"$dir/status"
	apt_in "$dir" update && apt_in "$dir" source "$2"
)
