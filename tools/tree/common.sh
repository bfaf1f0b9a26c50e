# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Sourced by every script of tools/tree and tools/vm: where things are, how to
# complain, how to get what is missing.  Expects $repo, set by ./lab.

: "${repo:?run this through ./lab}"

# Everything that is fetched or built lives here, never in the repository.
cache=${LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dmabuf-dio}
mkdir -p "$cache/log" || exit 1
cache=$(cd "$cache" && pwd)


say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "need root (or sudo) for: $*"
	fi
}

# step NAME COMMAND...: runs a long command with its output in a log.  On a
# terminal the last line is shown while it works, elsewhere a sign of life
# every half minute; of a failure the end of the log is printed.
step() {
	step_name=$1
	shift
	step_log=$cache/log/$(printf '%s' "$step_name" | tr -c 'A-Za-z0-9.\n' '-').log
	step_begin=$(date +%s)
	say "$step_name ..."
	"$@" >"$step_log" 2>&1 </dev/null &
	step_pid=$!
	# shellcheck disable=SC2064 # the pid of now
	trap "kill $step_pid 2>/dev/null; exit 130" INT TERM
	step_next=30
	while sleep 0.2 && kill -0 "$step_pid" 2>/dev/null; do
		step_time=$(($(date +%s) - step_begin))
		if [ -t 2 ]; then
			printf '\r\033[K  %ds  %.100s' "$step_time" \
				"$(tail -n 1 "$step_log" | tr -d '\r\033')" >&2
		elif [ "$step_time" -ge "$step_next" ]; then
			step_next=$((step_time + 30))
			say "  ${step_time}s: $(tail -n 1 "$step_log" | tr -d '\r\033' | cut -c 1-100)"
		fi
	done
	[ -t 2 ] && printf '\r\033[K' >&2
	trap 'exit 130' INT TERM
	step_rc=0
	wait "$step_pid" || step_rc=$?
	if [ "$step_rc" != 0 ]; then
		# The reason is rarely at the end when make ran jobs in parallel.
		{
			grep -n -A 8 -E '(error|ERROR)(\[E[0-9]*\])?:' "$step_log" | head -n 30
			echo ...
			tail -n 20 "$step_log"
		} | sed 's/^/  | /' >&2
		say "$step_name: failed (exit $step_rc), the whole log: $step_log"
	else
		say "$step_name: done, $(($(date +%s) - step_begin)) s"
	fi
	return "$step_rc"
}

# only_one NAME: waits for a run of NAME that is under way: logs are in one place.
only_one() {
	exec 8>"$cache/$1.lock"
	flock -n 8 && return
	say "waiting for another 'lab $1'"
	flock 8
}

# The identity and date of every commit the lab makes are fixed, so that equal
# content has equal commit ids and an update of a tree touches changed files only.
lab_name='Dmabuf DIO developers'
lab_email='dmabuf-dio@example.org'
fixed_ident() {
	GIT_AUTHOR_NAME=$lab_name GIT_AUTHOR_EMAIL=$lab_email
	GIT_COMMITTER_NAME=$lab_name GIT_COMMITTER_EMAIL=$lab_email
	GIT_AUTHOR_DATE='1767225600 +0000' GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
	export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE
	export GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE
}

# Settings of the user's own git must not change what we produce.
GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

. "$repo/tools/tree/apt.sh"
. "$repo/tools/tree/need.sh"
. "$repo/tools/tree/base.sh"
. "$repo/tools/tree/series.sh"
. "$repo/tools/tree/checkpatch.sh"
. "$repo/tools/tree/results.sh"
