# SPDX-License-Identifier: BSD-3-Clause
# libvdma-dpdk, a library of its own: libvdma knows nothing of DPDK.

# AUTO is looked up each time: DPDK may have been installed since.
set(VDMA_DPDK AUTO CACHE STRING "Build libvdma-dpdk: ON, OFF, or AUTO where DPDK is found")
pkg_check_modules(DPDK QUIET IMPORTED_TARGET libdpdk>=22.11)
if(VDMA_DPDK STREQUAL AUTO AND NOT DPDK_FOUND)
	message(STATUS "libvdma-dpdk is not built: pkg-config finds no libdpdk of 22.11 or newer")
	return()
elseif(NOT VDMA_DPDK)
	message(STATUS "libvdma-dpdk is not built")
	return()
elseif(NOT DPDK_FOUND)
	message(FATAL_ERROR "VDMA_DPDK needs DPDK 22.11 or newer, by pkg-config: install "
		"libdpdk-dev, or switch it off.")
endif()

add_library(vdma_dpdk_core OBJECT dpdk.c)
target_compile_definitions(vdma_dpdk_core PRIVATE _GNU_SOURCE)
target_include_directories(vdma_dpdk_core PRIVATE ${PROJECT_SOURCE_DIR}/include)
target_include_directories(vdma_dpdk_core SYSTEM PRIVATE ${DPDK_INCLUDE_DIRS})
target_compile_options(vdma_dpdk_core PRIVATE ${DPDK_CFLAGS_OTHER})
set_target_properties(vdma_dpdk_core PROPERTIES
	POSITION_INDEPENDENT_CODE ON
	C_VISIBILITY_PRESET hidden)

# Of DPDK it takes the EAL alone; which drivers there are is the program's choice.
add_library(vdma_dpdk SHARED)
add_library(vdma_dpdk_static STATIC)
foreach(lib vdma_dpdk vdma_dpdk_static)
	target_sources(${lib} PRIVATE $<TARGET_OBJECTS:vdma_dpdk_core>)
	target_link_directories(${lib} PRIVATE ${DPDK_LIBRARY_DIRS})
	target_link_libraries(${lib} PRIVATE rte_eal Threads::Threads)
	set_target_properties(${lib} PROPERTIES OUTPUT_NAME vdma-dpdk LINKER_LANGUAGE C)
endforeach()
target_link_libraries(vdma_dpdk PUBLIC vdma)
target_link_libraries(vdma_dpdk_static PUBLIC vdma_static)
set_target_properties(vdma_dpdk PROPERTIES
	EXPORT_NAME dpdk
	VERSION ${PROJECT_VERSION}
	SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
	LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/libvdma-dpdk.map)
set_target_properties(vdma_dpdk_static PROPERTIES EXPORT_NAME dpdk_static)
target_link_options(vdma_dpdk PRIVATE
	-Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/libvdma-dpdk.map)
if(NOT VDMA_SANITIZE)
	target_link_options(vdma_dpdk PRIVATE -Wl,--no-undefined)
endif()
add_library(vdma::dpdk ALIAS vdma_dpdk)
add_library(vdma::dpdk_static ALIAS vdma_dpdk_static)
