# SPDX-License-Identifier: BSD-3-Clause
# Install rules, the CMake package vdma, and vdma.pc.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vdma)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
	FILES_MATCHING PATTERN "*.h")
install(TARGETS vdma vdma_static EXPORT vdma
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(VDMA_HEAP)
	install(TARGETS vdma_heap vdma_heap_static EXPORT vdma
		LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
		ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET vdma_dpdk)
	install(TARGETS vdma_dpdk vdma_dpdk_static EXPORT vdma
		LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
		ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(TARGETS vdma_preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/map_contig.4
	DESTINATION ${CMAKE_INSTALL_MANDIR}/man4)
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/vdma_arena_share.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_arena_stats.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_buf.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_constraints.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_dpdk.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_explain_iova.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_malloc.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_observer_add.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_pool.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_region.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_region_import.3
	${PROJECT_SOURCE_DIR}/docs/man/vdma_ring.3
	DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
install(EXPORT vdma NAMESPACE vdma:: FILE vdma-targets.cmake DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/vdma-config.cmake.in
	${CMAKE_CURRENT_BINARY_DIR}/vdma-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/vdma-config-version.cmake
	COMPATIBILITY SameMinorVersion)
install(FILES
	${CMAKE_CURRENT_BINARY_DIR}/vdma-config.cmake
	${CMAKE_CURRENT_BINARY_DIR}/vdma-config-version.cmake
	DESTINATION ${package_dir})

# Relative to the .pc file, so that an installed tree can be moved.
file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" PC_UP "${up}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/vdma.pc.in ${CMAKE_CURRENT_BINARY_DIR}/vdma.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vdma.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(VDMA_HEAP)
	configure_file(${PROJECT_SOURCE_DIR}/cmake/vdma-heap.pc.in
		${CMAKE_CURRENT_BINARY_DIR}/vdma-heap.pc @ONLY)
	install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vdma-heap.pc
		DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
if(TARGET vdma_dpdk)
	configure_file(${PROJECT_SOURCE_DIR}/cmake/vdma-dpdk.pc.in
		${CMAKE_CURRENT_BINARY_DIR}/vdma-dpdk.pc @ONLY)
	install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vdma-dpdk.pc
		DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
