# What `cmake --install` puts where, in two components, and the packages that CPack makes of them:
#   program   bin/plumbline, its recorded data, man page, completions
#   library   headers, static libraries with the targets plumbline::optimizer, plumbline::reference, plumbline::harness
include(CMakePackageConfigHelpers)
set(PLUMBLINE_DATADIR ${CMAKE_INSTALL_DATADIR}/plumbline/data)
set(PLUMBLINE_CMAKEDIR ${CMAKE_INSTALL_LIBDIR}/cmake/plumbline)
set(PLUMBLINE_HEADERDIR ${CMAKE_INSTALL_INCLUDEDIR}/plumbline)

# --- library ---
set_target_properties(plumbline_production PROPERTIES EXPORT_NAME optimizer)
set_target_properties(plumbline_reference PROPERTIES EXPORT_NAME reference)
set_target_properties(plumbline_harness PROPERTIES EXPORT_NAME harness)
install(TARGETS plumbline_production plumbline_reference plumbline_harness EXPORT plumbline
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(EXPORT plumbline NAMESPACE plumbline:: FILE plumblineTargets.cmake
  DESTINATION ${PLUMBLINE_CMAKEDIR} COMPONENT library)

# Of production: what programs include. None of these does arithmetic of the optimizer (a test looks).
foreach(header
    cuda/api/checkpoint.h cuda/api/optimizer.h cuda/api/options.h cuda/api/presets.h cuda/api/state.h cuda/api/tensor.h
    cuda/api/verification.h cuda/core/platform.h cuda/linear/fault.h cuda/linear/layer.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${PLUMBLINE_HEADERDIR}/${folder} COMPONENT library)
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/reference DESTINATION ${PLUMBLINE_HEADERDIR} COMPONENT library
  FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/harness DESTINATION ${PLUMBLINE_HEADERDIR} COMPONENT library
  FILES_MATCHING PATTERN "*.h" PATTERN codecs EXCLUDE PATTERN drift EXCLUDE PATTERN hardware EXCLUDE
  PATTERN subjects/*.h EXCLUDE PATTERN worker EXCLUDE PATTERN python EXCLUDE
  PATTERN json_text.h EXCLUDE PATTERN strict_json.h EXCLUDE)
# What a program in any language implements to be judged.
install(FILES ${PROJECT_SOURCE_DIR}/harness/live/plumbline_subject.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/plumblineConfig.cmake.in
  ${PROJECT_BINARY_DIR}/plumblineConfig.cmake INSTALL_DESTINATION ${PLUMBLINE_CMAKEDIR} PATH_VARS PLUMBLINE_DATADIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/plumblineConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/plumblineConfig.cmake ${PROJECT_BINARY_DIR}/plumblineConfigVersion.cmake
  DESTINATION ${PLUMBLINE_CMAKEDIR} COMPONENT library)

# --- program ---
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)
if(PLUMBLINE_PROGRAM)
  install(TARGETS plumbline plumbline-worker RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/tests/data/ DESTINATION ${PLUMBLINE_DATADIR} COMPONENT program
    PATTERN conformance EXCLUDE PATTERN inputs EXCLUDE PATTERN released EXCLUDE)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${PROJECT_SOURCE_DIR}/reports/SCHEMA.md
                ${PROJECT_SOURCE_DIR}/harness/ERRORS.md
    DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)

  install(DIRECTORY ${PROJECT_SOURCE_DIR}/harness/python/plumbline DESTINATION ${CMAKE_INSTALL_DATADIR}/plumbline/python
    COMPONENT program FILES_MATCHING PATTERN "*.py")

  # The program describes itself.
  set(pages ${PROJECT_BINARY_DIR}/pages)
  file(MAKE_DIRECTORY ${pages})
  add_custom_command(OUTPUT ${pages}/plumbline.1 ${pages}/plumbline.bash ${pages}/_plumbline ${pages}/plumbline.fish
    # An operator stands alone: as a part of a word VERBATIM quotes it.
    COMMAND plumbline help --man > plumbline.1
    COMMAND plumbline help --completion bash > plumbline.bash
    COMMAND plumbline help --completion zsh > _plumbline
    COMMAND plumbline help --completion fish > plumbline.fish
    WORKING_DIRECTORY ${pages} DEPENDS plumbline VERBATIM)
  add_custom_target(plumbline_pages ALL DEPENDS ${pages}/plumbline.1)
  install(FILES ${pages}/plumbline.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
  install(FILES ${pages}/plumbline.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
    COMPONENT program RENAME plumbline)
  install(FILES ${pages}/_plumbline DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT program)
  install(FILES ${pages}/plumbline.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT program)
endif()

# --- packages: cpack -G "DEB;TGZ" ---
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()
set(CPACK_PACKAGE_NAME plumbline)
set(CPACK_PACKAGE_VENDOR Plumbline)
set(CPACK_PACKAGE_CONTACT "Plumbline's maintainers <plumbline@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_COMPONENTS_ALL program library)
set(CPACK_STRIP_FILES ON)
set(suffix "")
if(PLUMBLINE_HAVE_CUDA)
  set(suffix -cuda)
endif()
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)  # one archive of everything
set(CPACK_PACKAGE_FILE_NAME plumbline${suffix}-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS OFF)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME plumbline${suffix})
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libplumbline${suffix}-dev)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "libeigen3-dev, libtbb-dev, libboost-context-dev, libfmt-dev, nlohmann-json3-dev, zlib1g-dev")
if(PLUMBLINE_HAVE_CUDA)  # the same files with kernels: one of the two at a time
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_PROVIDES plumbline)
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONFLICTS plumbline)
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_PROVIDES libplumbline-dev)
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONFLICTS libplumbline-dev)
endif()
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "The program with its recorded data, man page and shell completions.")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "Headers, static libraries and CMake targets: optimizer, reference, harness.")
include(CPack)
