# SPDX-License-Identifier: BSD-3-Clause
#
# vdma_add_guest_test(NAME name KERNELS 6.1 6.12 [OPTIONS option...]
#                     [TIMEOUT seconds] COMMAND command...)
#
# One test per kernel, <name>-<kernel>: COMMAND runs as root in a guest that
# scripts/guest boots with OPTIONS. A target's name as the first word of
# COMMAND stands for its program. Each has LABELS guest, and those with the longest
# TIMEOUT, which includes booting, start first.
#
# A test on the kernel "debug" has LABELS debug besides, and four times the time:
# scripts/test leaves it out, scripts/check runs it.
#
# A guest that cannot be had is a failure: scripts/guest exits nonzero.
function(vdma_add_guest_test)
	cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT" "KERNELS;OPTIONS;COMMAND")
	foreach(needed NAME KERNELS COMMAND)
		if(NOT arg_${needed})
			message(FATAL_ERROR "vdma_add_guest_test: ${needed} is missing")
		endif()
	endforeach()
	if(arg_UNPARSED_ARGUMENTS)
		message(FATAL_ERROR "vdma_add_guest_test: what is ${arg_UNPARSED_ARGUMENTS}?")
	endif()
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 120)
	endif()
	list(POP_FRONT arg_COMMAND program)
	if(TARGET ${program})
		set(program $<TARGET_FILE:${program}>)
	endif()
	foreach(kernel IN LISTS arg_KERNELS)
		set(labels guest)
		set(timeout ${arg_TIMEOUT})
		if(kernel STREQUAL debug)
			list(APPEND labels debug)
			math(EXPR timeout "${arg_TIMEOUT} * 4")
		endif()
		# The guest's own limit comes first: it can tell where the guest hangs.
		math(EXPR limit "${timeout} + 60")
		add_test(NAME ${arg_NAME}-${kernel}
			COMMAND ${PROJECT_SOURCE_DIR}/scripts/guest --kernel ${kernel}
				--timeout ${timeout} ${arg_OPTIONS} -- ${program} ${arg_COMMAND})
		set_tests_properties(${arg_NAME}-${kernel} PROPERTIES
			LABELS "${labels}" COST ${timeout} TIMEOUT ${limit}
			ENVIRONMENT "VDMA_BUILD=${PROJECT_BINARY_DIR}")
	endforeach()
endfunction()
