# SPDX-License-Identifier: BSD-3-Clause
set(VDMA_SANITIZE OFF CACHE STRING
	"ON: AddressSanitizer and UndefinedBehaviorSanitizer; thread: ThreadSanitizer")

if(VDMA_FUZZ)
	set(VDMA_SANITIZE ON)
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(VDMA_SANITIZE STREQUAL thread)
	add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
	add_link_options(-fsanitize=thread)
elseif(VDMA_SANITIZE)
	add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
		-fno-omit-frame-pointer)
	add_link_options(-fsanitize=address,undefined)
endif()
