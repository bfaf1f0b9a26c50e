# SPDX-License-Identifier: GPL-2.0
#
# KUnit's results in a kernel log, or (-v flat=1) TAP of one program, to a line
# for each test: "ok NAME", "FAIL NAME", "skip NAME (reason)".  What was planned
# and did not come is a failure: a crash must not look like fewer tests.

function outcome(state, name, line) {
	# "ok 3 name # SKIP why"
	if (line ~ /# *SKIP/) {
		sub(/.*# *SKIP */, "", line)
		print "skip " name " (" line ")"
	} else
		print (state == "ok" ? "ok " : "FAIL ") name
	seen++
}

function missing(what, planned, got) {
	if (planned != "" && planned > got)
		print "FAIL " what ": " (planned - got) " of " planned " without a result"
}

{
	sub(/\r$/, "")
	sub(/^(<[0-9]+>)?\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? /, "")
	indent = match($0, /[^ ]/) - 1
	line = substr($0, indent + 1)
}

line ~ /^# Subtest: / && indent == 4 {
	suite = substr(line, 12)
	cases = 0
	plan = ""
	next
}

line ~ /^1\.\.[0-9]+/ {
	count = substr(line, 4) + 0
	if (indent == 0)
		top = (top == "" ? count : top + count)
	else if (indent == 4)
		plan = count
	next
}

line ~ /^(not )?ok [0-9]+/ && (indent == 0 || indent == 4 && !flat) {
	state = line ~ /^ok/ ? "ok" : "not ok"
	name = line
	sub(/^(not )?ok [0-9]+ *-? */, "", name)
	sub(/ *#.*/, "", name)
	if (name == "")
		name = "test " (tops + 1)
	if (indent == 4) {
		cases++
		bad += state != "ok"
		outcome(state, suite "." name, line)
		next
	}
	tops++
	if (flat) {
		outcome(state, name, line)
		next
	}
	# A suite: its cases were counted, unless there were none.
	missing(suite, plan, cases)
	if (!cases || suite != name)
		outcome(state, name, line)
	else if (state != "ok" && !bad)
		print "FAIL " name ": the suite failed outside its cases"
	bad = 0
	suite = ""
	cases = 0
	plan = ""
}

END {
	if (suite != "")
		missing(suite, plan, cases)
	missing(label, top, tops)
	if (!seen && top == "")
		print "FAIL " label ": no results"
	else if (flat && top == "")
		print "FAIL " label ": no plan, it ended early"
}
