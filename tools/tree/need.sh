# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the work needs and how it comes here.  Every function is quick when
# nothing is missing.

# need PACKAGE...: Debian packages of the machine's own release.
need() {
	missing=
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086 # a list of names
	need_install $missing || die "cannot install:$missing"
}

need_install() {
	if [ -z "${need_updated:-}" ]; then
		step "apt-get update" as_root apt-get -q update || return 1
		need_updated=1
	fi
	step "apt-get install $*" as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y install --no-install-recommends "$@"
}
