# How programs start: without the libraries that nobody uses, and with threads that do not wait for each other at the cost of others.

# Debian's libtorch names libraries that it takes nothing from (OpenCV, FFmpeg, data bases); with the 200 behind them they cost a third of the time that starting
# takes. One empty library under all of those names, loaded before libtorch, stands in for them. Only names in the pattern are taken: those
# libraries do nothing by being loaded, and nothing of ours or of libtorch's other libraries uses them. Not for the window: somebody's panel may want the real ones.
set(ORRERY_UNUSED_DIR lib/orrery/unused)
set(ORRERY_UNUSED "")
find_program(ORRERY_LDD ldd)
if(ORRERY_LDD AND ORRERY_TORCH_CPU_LIBRARY AND NOT ORRERY_SANITIZE)
  # The status says whether there are some.
  execute_process(COMMAND ${ORRERY_LDD} -u ${ORRERY_TORCH_CPU_LIBRARY} OUTPUT_VARIABLE _orrery_unused ERROR_QUIET)
  string(REGEX MATCHALL "lib(opencv_[a-z0-9]+|av[a-z]+|sw[a-z]+|leveldb|lmdb|zmq)\\.so\\.[0-9a-z.]+" ORRERY_UNUSED "${_orrery_unused}")
endif()
list(LENGTH ORRERY_UNUSED _orrery_count)
message(STATUS "Libraries that libtorch names and does not use: ${_orrery_count}")
if(ORRERY_UNUSED)
  add_library(orrery_unused SHARED ${PROJECT_SOURCE_DIR}/app/start/unused.cpp)
  # Without a name of its own it is asked for by the names of its links.
  set_target_properties(orrery_unused PROPERTIES NO_SONAME ON LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${ORRERY_UNUSED_DIR})
  foreach(_orrery_name IN LISTS ORRERY_UNUSED)
    add_custom_command(TARGET orrery_unused POST_BUILD VERBATIM
      COMMAND ${CMAKE_COMMAND} -E create_symlink liborrery_unused.so ${CMAKE_BINARY_DIR}/${ORRERY_UNUSED_DIR}/${_orrery_name})
    list(APPEND _orrery_links ${CMAKE_BINARY_DIR}/${ORRERY_UNUSED_DIR}/${_orrery_name})
  endforeach()
  install(TARGETS orrery_unused LIBRARY DESTINATION ${ORRERY_UNUSED_DIR})
  install(FILES ${_orrery_links} DESTINATION ${ORRERY_UNUSED_DIR})
endif()

# An executable that loads none of the unused libraries.
function(orrery_start_lean target)
  if(NOT ORRERY_UNUSED)
    return()
  endif()
  set(names ${ORRERY_UNUSED})
  list(TRANSFORM names PREPEND "-l:")
  add_dependencies(${target} orrery_unused)
  target_link_options(${target} PRIVATE LINKER:--push-state,--no-as-needed -L${CMAKE_BINARY_DIR}/${ORRERY_UNUSED_DIR} ${names} LINKER:--pop-state)
  set_property(TARGET ${target} APPEND PROPERTY BUILD_RPATH ${CMAKE_BINARY_DIR}/${ORRERY_UNUSED_DIR})
  set_property(TARGET ${target} APPEND PROPERTY INSTALL_RPATH "$ORIGIN/../${ORRERY_UNUSED_DIR}")
endfunction()

# A program that people start: bin/NAME sets what must be known before any library is loaded, and becomes libexec/NAME, the target itself.
function(orrery_program target)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/libexec INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS ${target} RUNTIME DESTINATION libexec)
  add_executable(${target}-start ${PROJECT_SOURCE_DIR}/app/start/start.cpp)
  set_target_properties(${target}-start PROPERTIES OUTPUT_NAME ${target})
  target_compile_definitions(${target}-start PRIVATE ORRERY_PROGRAM="${target}" ORRERY_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${target}-start PRIVATE orrery_warnings)
  install(TARGETS ${target}-start RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  add_dependencies(${target} ${target}-start)
endfunction()
