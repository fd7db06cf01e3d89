# Language, warnings, output folders, ccache, sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# Executables are compiled as position-independent code, too, so that all targets can share one precompiled header.
set(CMAKE_CXX_COMPILE_OPTIONS_PIE -fPIC)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# Optimised without debug information: the objects stay small and the links short. The sanitizer presets add -g.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

# One build tree is laid out like an installation, so that programs find resources and plugins relative to themselves.
include(GNUInstallDirs)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(ORRERY_PLUGIN_DIR lib/orrery/plugins)
set(ORRERY_SHARE_DIR share/orrery)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib;$ORIGIN;$ORIGIN/../../../lib;$ORIGIN/../..")

if(ORRERY_CCACHE)
  find_program(CCACHE_PROGRAM ccache)
  if(CCACHE_PROGRAM)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_PCH_EXTSUM=1 ${CCACHE_PROGRAM})
  endif()
endif()

add_library(orrery_warnings INTERFACE)
target_compile_options(orrery_warnings INTERFACE -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds -Wno-stringop-overflow -Wno-dangling-pointer -Wno-maybe-uninitialized -Wno-restrict>
  $<$<BOOL:${ORRERY_WERROR}>:-Werror>)

# What a target that does not compute is compiled with; a precompiled header must have the same options as its users.
add_library(orrery_quick INTERFACE)
if(ORRERY_QUICK)
  target_compile_options(orrery_quick INTERFACE $<$<CONFIG:Release>:-O1>)
endif()
# Two sources of one folder must not define the same name at file level, not even in an anonymous namespace.
function(orrery_unity target)
  if(ORRERY_UNITY AND NOT target IN_LIST ORRERY_SEPARATE)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)  # said of a source that is included
  endif()
endfunction()

if(ORRERY_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-omit-frame-pointer -g1 -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(ORRERY_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -g1 -O1)
  add_link_options(-fsanitize=thread)
elseif(ORRERY_SANITIZE)
  message(FATAL_ERROR "ORRERY_SANITIZE: expected address or thread, got ${ORRERY_SANITIZE}")
endif()
find_program(LLD_PROGRAM ld.lld)
if(LLD_PROGRAM)
  add_link_options(-fuse-ld=lld)
endif()
