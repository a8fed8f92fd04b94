# SPDX-License-Identifier: Apache-2.0
# libvde and liblakehouse, shared and static, and what a program needs to find them.

# vde_library(<name> <core object library> <symbol map> <header folder>)
function(vde_library name core map headers)
  add_library(${name} SHARED $<TARGET_OBJECTS:${core}>)
  add_library(${name}_static STATIC $<TARGET_OBJECTS:${core}>)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C VERSION ${PROJECT_VERSION} SOVERSION 0
                        LINK_DEPENDS ${map})
  set_target_properties(${name}_static PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME ${name})
  target_link_options(${name} PRIVATE LINKER:--version-script=${map})
  if(NOT (VDE_SANITIZE OR VDE_FUZZ) OR CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_link_options(${name} PRIVATE LINKER:-z,defs)
  endif()
  foreach(target ${name} ${name}_static)
    target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${headers}>
                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endforeach()
endfunction()

vde_library(vde vde_core ${CMAKE_SOURCE_DIR}/vde/libvde.map ${CMAKE_SOURCE_DIR}/vde/include)
target_link_libraries(vde PRIVATE PkgConfig::ENGINE_DEPS ${AIO_LIBRARY} Threads::Threads)
target_link_libraries(vde_static INTERFACE $<BUILD_INTERFACE:PkgConfig::ENGINE_DEPS> $<BUILD_INTERFACE:${AIO_LIBRARY}>
                      $<INSTALL_INTERFACE:uring> $<INSTALL_INTERFACE:aio> $<INSTALL_INTERFACE:xxhash>
                      $<INSTALL_INTERFACE:zstd> Threads::Threads)

if(TARGET lakehouse_core)
  vde_library(lakehouse lakehouse_core ${CMAKE_SOURCE_DIR}/lakehouse/liblakehouse.map
              ${CMAKE_SOURCE_DIR}/lakehouse/include)
  target_link_libraries(lakehouse PUBLIC vde PRIVATE PkgConfig::ENGINE_DEPS PkgConfig::JANSSON Threads::Threads)
  target_link_libraries(lakehouse_static INTERFACE vde_static $<BUILD_INTERFACE:PkgConfig::JANSSON>
                        $<INSTALL_INTERFACE:jansson>)
endif()

include(CMakePackageConfigHelpers)
# The pkg-config files find their prefix from where they lie, so that an installed tree can be moved.
file(RELATIVE_PATH VDE_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
set(VDE_PC_PREFIX "\${pcfiledir}/${VDE_PC_PREFIX}")

# vde_package(<package> <library> <folder>): headers, libraries, pkg-config file and CMake package.
function(vde_package package library folder)
  set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/${package})
  install(TARGETS ${library} ${library}_static EXPORT ${package}Targets)
  install(DIRECTORY ${folder}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
  install(EXPORT ${package}Targets NAMESPACE vde:: DESTINATION ${cmake_dir})
  configure_package_config_file(cmake/${package}Config.cmake.in ${package}Config.cmake INSTALL_DESTINATION ${cmake_dir})
  write_basic_package_version_file(${package}ConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/${package}Config.cmake ${CMAKE_BINARY_DIR}/${package}ConfigVersion.cmake
          DESTINATION ${cmake_dir})
  configure_file(${folder}/lib${library}.pc.in lib${library}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/lib${library}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

vde_package(vde vde vde)
if(TARGET lakehouse)
  vde_package(lakehouse lakehouse lakehouse)
endif()
