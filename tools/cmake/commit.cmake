# Write OUT, a header with the commit of the folder SOURCE, unless it has that commit already. Run at each build, so that a
# commit compiles one file again. A tarball has no commit, not even that of a repository around it.
set(commit unknown)
if(EXISTS ${SOURCE}/.git)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env GIT_OPTIONAL_LOCKS=0
      git -C ${SOURCE} describe --always --exclude=* --abbrev=40 --dirty
    OUTPUT_VARIABLE found RESULT_VARIABLE failed ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed EQUAL 0)
    set(commit ${found})
  endif()
endif()
set(text "#define CF_COMMIT \"${commit}\"\n")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} ${text})
endif()
