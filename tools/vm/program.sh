# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Builds tools/dmabuf, to run inside: sets $program.

need_crate
: "${CARGO_TARGET_DIR:=$cache/cargo}"
export CARGO_TARGET_DIR
# shellcheck disable=SC2034 # for who reads this
program=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/dmabuf

program_build() {
	# Cargo reads .cargo/config.toml where it is started.
	cd "$repo/tools/dmabuf" && cargo build --release --locked
}
step "building tools/dmabuf" program_build || exit 1
