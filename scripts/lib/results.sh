# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by scripts/test and scripts/check: what failed, where a reader looks for it.

# say_again RESULTS LOG: appends the names of those that failed, and what each printed
# last, from ctest's RESULTS (JUnit). What a guest test prints is long, and has gone by.
say_again()
{
	awk '
	function text(line)
	{
		gsub(/&lt;/, "<", line)
		gsub(/&gt;/, ">", line)
		gsub(/&quot;/, "\"", line)
		gsub(/&apos;/, "\047", line)
		gsub(/&amp;/, "\\&", line)
		return line
	}
	/<testcase / {
		name = $0
		sub(/.*<testcase name="/, "", name)
		sub(/".*/, "", name)
		bad = /status="(fail|notrun|disabled)"/
		n = 0
	}
	bad { lines[++n] = $0 }
	/<\/testcase>/ && bad {
		print "---- " text(name) " failed, its last lines:"
		for (i = n > 50 ? n - 49 : 1; i <= n; i++) {
			gsub(/<\/?system-out>/, "", lines[i])
			if (lines[i] !~ /<\/?(testcase|failure|skipped|properties|property|system-err)[ >\/]/)
				print "  | " text(lines[i])
		}
		bad = 0
	}' "$1" >>"$2"
}
