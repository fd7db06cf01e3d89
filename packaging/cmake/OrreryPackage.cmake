# Install rules shared by all targets, the exported CMake package and the Debian package.

# Programs find resources and example projects relative to themselves, under ../share/orrery. The build tree has the folders of an installation; there they
# are links, so that an edited file is there at once.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/${ORRERY_SHARE_DIR})
foreach(_orrery_folder resources projects)
  set(_orrery_link ${CMAKE_BINARY_DIR}/${ORRERY_SHARE_DIR}/${_orrery_folder})
  if(IS_DIRECTORY ${_orrery_link} AND NOT IS_SYMLINK ${_orrery_link})
    file(REMOVE_RECURSE ${_orrery_link})
  endif()
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${_orrery_folder} ${_orrery_link} SYMBOLIC)
  install(DIRECTORY ${_orrery_folder} DESTINATION ${ORRERY_SHARE_DIR} PATTERN CMakeLists.txt EXCLUDE PATTERN orrery-workspace EXCLUDE)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/orrery RENAME copyright)

# Shared libraries. Not CMAKE_INSTALL_LIBDIR: the plugins' folder is fixed relative to the programs.
set(_orrery_libraries orrery_core)
foreach(_orrery_target orrery_gemm orrery_widgets orrery_viewers)
  if(TARGET ${_orrery_target})
    list(APPEND _orrery_libraries ${_orrery_target})
  endif()
endforeach()
install(TARGETS ${_orrery_libraries} LIBRARY DESTINATION lib)

# Headers and the CMake package, for panels built outside this tree.
include(CMakePackageConfigHelpers)
set(_orrery_header_folders core)
if(ORRERY_GUI)
  list(APPEND _orrery_header_folders widgets)
endif()
if(ORRERY_GUI AND ORRERY_VTK)
  list(APPEND _orrery_header_folders viewers)  # VTK and ImGui are in none of them
endif()
install(DIRECTORY ${_orrery_header_folders} DESTINATION include/orrery FILES_MATCHING PATTERN *.h PATTERN pch.h EXCLUDE)
configure_package_config_file(${PROJECT_SOURCE_DIR}/packaging/cmake/OrreryConfig.cmake.in ${CMAKE_BINARY_DIR}/OrreryConfig.cmake INSTALL_DESTINATION lib/cmake/Orrery)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/OrreryConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/OrreryConfig.cmake ${CMAKE_BINARY_DIR}/OrreryConfigVersion.cmake DESTINATION lib/cmake/Orrery)

if(ORRERY_GUI)
  install(FILES ${PROJECT_SOURCE_DIR}/plugins/add_panel.cmake ${PROJECT_SOURCE_DIR}/plugins/plugin.cpp.in DESTINATION lib/cmake/Orrery)
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/desktop/orrery.desktop DESTINATION share/applications)
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/desktop/orrery.metainfo.xml DESTINATION share/metainfo)
  install(FILES ${PROJECT_SOURCE_DIR}/resources/icons/orrery.svg DESTINATION share/icons/hicolor/scalable/apps)
endif()

# `cpack -G DEB` in the build folder.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME orrery)
set(CPACK_PACKAGE_VENDOR "The Orrery developers")
set(CPACK_PACKAGE_CONTACT "The Orrery developers <orrery@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_FILE_NAME orrery_${PROJECT_VERSION}_${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "")
find_program(ORRERY_SHLIBDEPS dpkg-shlibdeps)
if(ORRERY_SHLIBDEPS)
  # The packages of the shared libraries we link, found by Debian's own tool.
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib)
endif()
include(CPack)
