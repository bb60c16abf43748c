# SPDX-License-Identifier: BSD-3-Clause
option(VDMA_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

if(VDMA_SANITIZE)
	add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
		-fno-omit-frame-pointer)
	add_link_options(-fsanitize=address,undefined)
endif()
