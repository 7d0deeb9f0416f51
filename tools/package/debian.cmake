# Run by cpack on the files of a package, before they are packed: man pages and changes as Debian's policy has them.
set(share "${CPACK_TEMPORARY_DIRECTORY}/usr/share")
file(COPY "${CMAKE_CURRENT_LIST_DIR}/copyright" DESTINATION "${share}/doc/llminit")
configure_file("${share}/doc/llminit/src/CHANGELOG.md" "${share}/doc/llminit/changelog" COPYONLY)
file(GLOB files "${share}/man/man1/*.1" "${share}/doc/llminit/changelog")
execute_process(COMMAND gzip -9nf ${files} RESULT_VARIABLE status)
if(status)
  message(FATAL_ERROR "gzip: ${status}")
endif()
