# The Debian package, built by `cpack -G DEB` (make package).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME iperf3-exporter)
# Whoever builds the package maintains it. As in Debian's own tools, the environment says who that is.
if(DEFINED ENV{DEBFULLNAME} AND DEFINED ENV{DEBEMAIL})
  set(CPACK_PACKAGE_CONTACT "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
else()
  execute_process(COMMAND sh -c "echo \"$(id -un) <$(id -un)@$(uname -n)>\"" OUTPUT_VARIABLE CPACK_PACKAGE_CONTACT
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
# A version of its own for each revision that is not a release, so that apt upgrades from one to the next.
execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} describe --tags --exact-match --match=v${PROJECT_VERSION} HEAD
                RESULT_VARIABLE not_released OUTPUT_QUIET ERROR_QUIET)
if(not_released)
  execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} log -1 --date=format-local:%Y%m%d.%H%M%S --format=%cd.
                  OUTPUT_VARIABLE revision_date OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  string(REPLACE - . revision_version "${revision_date}${EXPORTER_REVISION}")
  set(CPACK_DEBIAN_PACKAGE_VERSION "${PROJECT_VERSION}+git${revision_version}")
else()
  set(CPACK_DEBIAN_PACKAGE_VERSION ${PROJECT_VERSION})
endif()
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# The summary line comes from the project's description.
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Runs an iperf3 test for each scrape of /probe and answers with what iperf3
measured: bandwidth per direction, retransmits, round-trip time, jitter and
loss. By default tests on one host never overlap, even with several exporters.

iperf3 and the parser of its report run in sandboxed worker processes.")
# dpkg-shlibdeps finds the libraries. The others: iperf3 runs the tests, systemd-sysusers creates the user,
# tzdata has the zones of windows.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${CROSS_ARCH})
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_SYSROOT}/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
endif()
set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "iperf3, tzdata, systemd | systemd-standalone-sysusers | systemd-sysusers, init-system-helpers (>= 1.54)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(debian ${CMAKE_CURRENT_LIST_DIR})
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/debian/conffiles "/etc/default/iperf3-exporter\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${debian}/postinst ${debian}/prerm ${debian}/postrm
    ${CMAKE_CURRENT_BINARY_DIR}/debian/conffiles)

# Debian requires a compressed changelog, without a timestamp so that builds are reproducible.
execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} log -1 --format=%cD OUTPUT_VARIABLE CHANGELOG_DATE
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT CHANGELOG_DATE)
  set(CHANGELOG_DATE "Thu, 01 Jan 2026 00:00:00 +0000")
endif()
configure_file(${debian}/changelog.in debian/changelog @ONLY)
set(document_directory ${CMAKE_INSTALL_DATAROOTDIR}/doc/iperf3-exporter)
add_custom_command(OUTPUT debian/changelog.gz
                   COMMAND gzip -9nc debian/changelog > debian/changelog.gz
                   DEPENDS debian/changelog)
add_custom_target(debian_changelog ALL DEPENDS debian/changelog.gz)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/debian/changelog.gz ${debian}/copyright DESTINATION ${document_directory})

include(CPack)
