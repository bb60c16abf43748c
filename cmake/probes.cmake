# SPDX-License-Identifier: BSD-3-Clause
# VDMA_PROBES: on by itself where the header is; who asks for it needs the header.

include(CheckIncludeFile)
if(NOT VDMA_HAVE_SDT) # it may have been installed since
	unset(VDMA_HAVE_SDT CACHE)
endif()
check_include_file(sys/sdt.h VDMA_HAVE_SDT)
if(VDMA_HAVE_SDT)
	set(probes ON)
else()
	set(probes OFF)
endif()
option(VDMA_PROBES "Build USDT probes into the library" ${probes})
if(VDMA_PROBES AND NOT VDMA_HAVE_SDT)
	message(FATAL_ERROR "VDMA_PROBES needs sys/sdt.h: install systemtap-sdt-dev, or switch it off.")
endif()
