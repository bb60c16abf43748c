# SPDX-License-Identifier: BSD-3-Clause
# libvdma-heap, a library of its own: jemalloc's thread-local variables need 2.6 KiB of
# the static block, and a library that has some can hardly be loaded by dlopen(), which
# libvdma itself shall be.

find_path(VDMA_JEMALLOC_INCLUDE jemalloc/jemalloc.h)
find_library(VDMA_JEMALLOC_PIC libjemalloc_pic.a)
mark_as_advanced(VDMA_JEMALLOC_INCLUDE VDMA_JEMALLOC_PIC)
if(VDMA_JEMALLOC_INCLUDE AND VDMA_JEMALLOC_PIC)
	set(found ON)
else()
	set(found OFF)
endif()
option(VDMA_HEAP "Build libvdma-heap" ${found})
if(NOT VDMA_HEAP)
	message(STATUS "libvdma-heap is not built: ${VDMA_JEMALLOC_PIC}")
	return()
endif()
if(NOT found)
	message(FATAL_ERROR "VDMA_HEAP needs jemalloc's header and libjemalloc_pic.a: install "
		"libjemalloc-dev, or switch it off.")
endif()

set(jemalloc ${CMAKE_CURRENT_BINARY_DIR}/vdma-jemalloc.o)
add_custom_command(OUTPUT ${jemalloc}
	COMMAND ${PROJECT_SOURCE_DIR}/cmake/private-jemalloc ${VDMA_JEMALLOC_PIC} ${jemalloc}
		${CMAKE_AR} ${CMAKE_LINKER} ${CMAKE_NM} ${CMAKE_OBJCOPY}
	DEPENDS ${PROJECT_SOURCE_DIR}/cmake/private-jemalloc ${VDMA_JEMALLOC_PIC}
	VERBATIM)
set_source_files_properties(${jemalloc} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)

add_library(vdma_heap_core OBJECT
	heap.c
	heap_cache.c
	heap_check.c
	heap_memory.c)
target_compile_definitions(vdma_heap_core PRIVATE _GNU_SOURCE)
if(VDMA_HAVE_VALGRIND)
	target_compile_definitions(vdma_heap_core PRIVATE VDMA_HAVE_VALGRIND)
endif()
target_include_directories(vdma_heap_core PRIVATE ${PROJECT_SOURCE_DIR}/include)
target_include_directories(vdma_heap_core SYSTEM PRIVATE ${VDMA_JEMALLOC_INCLUDE})
set_target_properties(vdma_heap_core PROPERTIES
	POSITION_INDEPENDENT_CODE ON
	C_VISIBILITY_PRESET hidden)

# For who links vdma_heap_core itself.
add_library(vdma_jemalloc INTERFACE)
target_sources(vdma_jemalloc INTERFACE ${jemalloc})
target_link_libraries(vdma_jemalloc INTERFACE m Threads::Threads ${CMAKE_DL_LIBS})
add_custom_target(vdma_jemalloc_object DEPENDS ${jemalloc})

add_library(vdma_heap SHARED)
add_library(vdma_heap_static STATIC)
foreach(lib vdma_heap vdma_heap_static)
	target_sources(${lib} PRIVATE $<TARGET_OBJECTS:vdma_heap_core> ${jemalloc})
	add_dependencies(${lib} vdma_jemalloc_object)
	target_link_libraries(${lib} PRIVATE m Threads::Threads ${CMAKE_DL_LIBS})
	set_target_properties(${lib} PROPERTIES OUTPUT_NAME vdma-heap LINKER_LANGUAGE C)
endforeach()
target_link_libraries(vdma_heap PUBLIC vdma)
target_link_libraries(vdma_heap_static PUBLIC vdma_static)
set_target_properties(vdma_heap PROPERTIES
	EXPORT_NAME heap
	VERSION ${PROJECT_VERSION}
	SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
	LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/libvdma-heap.map)
set_target_properties(vdma_heap_static PROPERTIES EXPORT_NAME heap_static)
target_link_options(vdma_heap PRIVATE
	-Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/libvdma-heap.map)
if(NOT VDMA_SANITIZE)
	target_link_options(vdma_heap PRIVATE -Wl,--no-undefined)
endif()
add_library(vdma::heap ALIAS vdma_heap)
add_library(vdma::heap_static ALIAS vdma_heap_static)
